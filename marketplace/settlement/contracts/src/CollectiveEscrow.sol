// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";

/// @title Budgets of training jobs
/// @notice Holds a data consumer's budget, moves rate × visits to the payout pool per settlement epoch, refunds the rest.
/// @dev The first guard against overspending is the platform's reservation before dispatch; this contract is the second:
/// whatever the platform believes, a job can never spend more than its budget, and no epoch is settled twice.
/// A settlement only counts; `fundPool` then moves what all jobs of an epoch settled in one transfer. That keeps a settlement
/// cheap however many visits it stands for, and no transfer on chain shows what one job paid.
/// @custom:security Only a settler settles and closes. After expiry and grace a consumer closes alone. Anybody may fund the pool:
/// the amount and the receiver are fixed.
contract CollectiveEscrow is AccessControl {
    using SafeERC20 for IERC20;

    /// @notice One job's money.
    /// @dev `nextSequence` starts at 1, so that the first settlement of a job pays no more gas than the later ones.
    struct Job {
        address consumer;
        uint64 expiry;
        uint128 rate;
        uint128 budget;
        uint128 spent;
        uint64 nextSequence;
        bool closed;
    }

    /// @notice May settle and close jobs.
    bytes32 public constant SETTLER_ROLE = keccak256("SETTLER_ROLE");
    /// @notice How long after a job's expiry the platform may still settle before the consumer can close alone.
    uint64 public constant GRACE = 7 days;

    /// @notice What budgets are paid in.
    IERC20 public immutable token;
    /// @notice Receives what is settled; pays individuals.
    address public immutable pool;
    /// @notice True on development chains only: a job may then name no Ocean order.
    bool public immutable development;

    /// @notice Every job that was ever opened.
    mapping(bytes32 jobId => Job) public jobs;
    /// @notice Ocean orders that opened a job; each opens one.
    mapping(bytes32 orderId => bool) public consumed;
    /// @notice What all jobs settled since the beginning, base units.
    uint256 public settledTotal;
    /// @notice What of it has reached the pool, base units.
    uint256 public pooledTotal;

    /// @notice A budget is in escrow.
    event JobOpened(bytes32 indexed jobId, address indexed consumer, bytes32 orderId, uint256 rate, uint256 budget, uint64 expiry);
    /// @notice A job paid for an epoch's visits.
    event Settled(bytes32 indexed jobId, uint64 sequence, uint256 visits, uint256 amount, bytes32 receiptsRoot);
    /// @notice A job ended; what it did not spend went back.
    event JobClosed(bytes32 indexed jobId, uint256 spent, uint256 refunded);
    /// @notice What jobs settled reached the pool.
    event PoolFunded(uint256 amount);

    /// @notice A job with this id was opened before.
    error JobExists(bytes32 jobId);
    /// @notice No job with this id was opened.
    error NoSuchJob(bytes32 jobId);
    /// @notice The job has ended; nothing moves any more.
    error AlreadyClosed(bytes32 jobId);
    /// @notice Outside a development chain a job consumes an Ocean order.
    error OrderNeeded();
    /// @notice This order opened another job already.
    error OrderConsumed(bytes32 orderId);
    /// @notice The rate is zero, or the budget does not pay one visit.
    error BadAmounts(uint256 rate, uint256 budget);
    /// @notice A job must end later than now.
    error ExpiryInThePast(uint64 expiry);
    /// @notice A settlement was repeated or left out.
    error WrongSequence(uint64 expected, uint64 given);
    /// @notice The job cannot pay that many visits.
    error OverBudget(uint256 left, uint256 asked);
    /// @notice A consumer may close alone only from this time on, unix seconds.
    error NotYet(uint256 since);
    /// @notice Without a pool nobody could be paid.
    error NoPool();

    /// @param token_ what budgets are paid in
    /// @param pool_ the payout pool
    /// @param admin may grant and take away roles
    /// @param settler may settle and close
    /// @param development_ whether a job may name no Ocean order
    constructor(IERC20 token_, address pool_, address admin, address settler, bool development_) {
        if (pool_ == address(0)) revert NoPool();
        token = token_;
        pool = pool_;
        development = development_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(SETTLER_ROLE, settler);
    }

    /// @notice Put a budget into escrow for a job. The caller is the consumer and is refunded what is not spent.
    /// @param jobId the job's id, a UUID in the first 16 bytes
    /// @param orderId the Ocean order this job consumes, once; zero on development chains only
    /// @param rate base units per visit
    /// @param budget base units in all
    /// @param expiry when the job ends at the latest, unix seconds
    function openJob(bytes32 jobId, bytes32 orderId, uint128 rate, uint128 budget, uint64 expiry) public {
        if (jobs[jobId].rate != 0) revert JobExists(jobId);
        if (rate == 0 || budget < rate) revert BadAmounts(rate, budget);
        if (expiry <= block.timestamp) revert ExpiryInThePast(expiry);
        if (orderId == bytes32(0)) {
            if (!development) revert OrderNeeded();
        } else {
            if (consumed[orderId]) revert OrderConsumed(orderId);
            consumed[orderId] = true;
        }
        jobs[jobId] = Job(msg.sender, expiry, rate, budget, 0, 1, false);
        emit JobOpened(jobId, msg.sender, orderId, rate, budget, expiry);
        token.safeTransferFrom(msg.sender, address(this), budget);
    }

    /// @notice The same with an EIP-2612 permit, so that a consumer signs once.
    /// @param jobId the job's id
    /// @param orderId the Ocean order this job consumes
    /// @param rate base units per visit
    /// @param budget base units in all; the permit is for exactly this amount
    /// @param expiry when the job ends at the latest, unix seconds
    /// @param deadline until when the permit is good, unix seconds
    /// @param v of the permit's signature
    /// @param r of the permit's signature
    /// @param s of the permit's signature
    function openJobWithPermit(
        bytes32 jobId,
        bytes32 orderId,
        uint128 rate,
        uint128 budget,
        uint64 expiry,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        // A permit that somebody else submitted first has done its work; the transfer decides.
        try IERC20Permit(address(token)).permit(msg.sender, address(this), budget, deadline, v, r, s) {} catch {}
        openJob(jobId, orderId, rate, budget, expiry);
    }

    /// @notice Count what an epoch's visits earned against a job's budget.
    /// @param jobId the job
    /// @param sequence one more than the last settled; a repeated settlement reverts
    /// @param visits how many presence receipts the epoch holds
    /// @param receiptsRoot Merkle root over them, for an auditor
    function settle(bytes32 jobId, uint64 sequence, uint256 visits, bytes32 receiptsRoot) external onlyRole(SETTLER_ROLE) {
        Job storage job = _open(jobId);
        uint64 expected = job.nextSequence;
        if (sequence != expected) revert WrongSequence(expected, sequence);
        uint256 amount = visits * job.rate;
        uint256 spent = job.spent;
        uint256 left = job.budget - spent;
        if (amount > left) revert OverBudget(left, amount);
        job.spent = uint128(spent + amount);
        job.nextSequence = expected + 1;
        settledTotal += amount;
        emit Settled(jobId, sequence, visits, amount, receiptsRoot);
    }

    /// @notice Move everything settled and not yet moved to the payout pool, in one transfer over all jobs.
    /// @dev Does nothing when there is nothing to move, so that somebody who calls it first stops nobody.
    function fundPool() external {
        uint256 amount = settledTotal - pooledTotal;
        if (amount == 0) return;
        pooledTotal += amount;
        emit PoolFunded(amount);
        token.safeTransfer(pool, amount);
    }

    /// @notice End a job and refund budget − spent to its consumer, to the last unit.
    /// @param jobId the job
    function close(bytes32 jobId) external {
        Job storage job = _open(jobId);
        if (!hasRole(SETTLER_ROLE, msg.sender)) {
            uint256 since = uint256(job.expiry) + GRACE;
            if (msg.sender != job.consumer || block.timestamp < since) revert NotYet(since);
        }
        job.closed = true;
        uint256 refund = job.budget - job.spent;
        emit JobClosed(jobId, job.spent, refund);
        if (refund > 0) token.safeTransfer(job.consumer, refund);
    }

    /// @dev A job has a rate from the moment it exists; asking for it spares reading the consumer's slot.
    function _open(bytes32 jobId) private view returns (Job storage job) {
        job = jobs[jobId];
        if (job.rate == 0) revert NoSuchJob(jobId);
        if (job.closed) revert AlreadyClosed(jobId);
    }
}
