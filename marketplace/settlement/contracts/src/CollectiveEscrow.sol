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
/// @custom:security Only a settler settles and closes. After expiry and grace a consumer closes alone.
contract CollectiveEscrow is AccessControl {
    using SafeERC20 for IERC20;

    struct Job {
        address consumer;
        uint64 expiry;
        uint128 rate;
        uint128 budget;
        uint128 spent;
        uint64 sequence;
        bool closed;
    }

    /// @notice May settle and close jobs.
    bytes32 public constant SETTLER_ROLE = keccak256("SETTLER_ROLE");
    /// @notice How long after a job's expiry the platform may still settle before the consumer can close alone.
    uint64 public constant GRACE = 7 days;

    IERC20 public immutable token;
    /// @notice Receives what is settled; pays individuals.
    address public immutable pool;
    /// @notice True on development chains only: a job may then name no Ocean order.
    bool public immutable development;

    mapping(bytes32 jobId => Job) public jobs;
    /// @notice Ocean orders that opened a job; each opens one.
    mapping(bytes32 orderId => bool) public consumed;

    event JobOpened(bytes32 indexed jobId, address indexed consumer, bytes32 orderId, uint256 rate, uint256 budget, uint64 expiry);
    event Settled(bytes32 indexed jobId, uint64 sequence, uint256 visits, uint256 amount, bytes32 receiptsRoot);
    event JobClosed(bytes32 indexed jobId, uint256 spent, uint256 refunded);

    error JobExists(bytes32 jobId);
    error NoSuchJob(bytes32 jobId);
    error AlreadyClosed(bytes32 jobId);
    error OrderNeeded();
    error OrderConsumed(bytes32 orderId);
    error BadAmounts(uint256 rate, uint256 budget);
    error ExpiryInThePast(uint64 expiry);
    error WrongSequence(uint64 expected, uint64 given);
    error OverBudget(uint256 left, uint256 asked);
    error NotYet(uint256 since);

    constructor(IERC20 token_, address pool_, address admin, address settler, bool development_) {
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
        if (jobs[jobId].consumer != address(0)) revert JobExists(jobId);
        if (rate == 0 || budget < rate) revert BadAmounts(rate, budget);
        if (expiry <= block.timestamp) revert ExpiryInThePast(expiry);
        if (orderId == bytes32(0)) {
            if (!development) revert OrderNeeded();
        } else {
            if (consumed[orderId]) revert OrderConsumed(orderId);
            consumed[orderId] = true;
        }
        jobs[jobId] = Job(msg.sender, expiry, rate, budget, 0, 0, false);
        emit JobOpened(jobId, msg.sender, orderId, rate, budget, expiry);
        token.safeTransferFrom(msg.sender, address(this), budget);
    }

    /// @notice The same with an EIP-2612 permit, so that a consumer signs once.
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

    /// @notice Move what an epoch's visits earned to the payout pool.
    /// @param sequence one more than the last settled; a repeated settlement reverts
    /// @param visits how many presence receipts the epoch holds
    /// @param receiptsRoot Merkle root over them, for an auditor
    function settle(bytes32 jobId, uint64 sequence, uint256 visits, bytes32 receiptsRoot) external onlyRole(SETTLER_ROLE) {
        Job storage job = _open(jobId);
        if (sequence != job.sequence + 1) revert WrongSequence(job.sequence + 1, sequence);
        uint256 amount = visits * job.rate;
        uint256 left = job.budget - job.spent;
        if (amount > left) revert OverBudget(left, amount);
        job.spent += uint128(amount);
        job.sequence = sequence;
        emit Settled(jobId, sequence, visits, amount, receiptsRoot);
        token.safeTransfer(pool, amount);
    }

    /// @notice End a job and refund budget − spent to its consumer, to the last unit.
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

    function _open(bytes32 jobId) private view returns (Job storage job) {
        job = jobs[jobId];
        if (job.consumer == address(0)) revert NoSuchJob(jobId);
        if (job.closed) revert AlreadyClosed(jobId);
    }
}
