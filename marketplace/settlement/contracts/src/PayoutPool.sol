// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

/// @title One pool that pays individuals of all collectives
/// @notice Everybody is paid from the same pool in batches, so that a payment does not say which collective it came from.
/// @dev Two ways of being paid, one amount. A root lists what each holder is still owed after the pushes before it. A push ends
/// the root in force, so that nobody claims by an old list what was pushed since; and what was claimed becomes a credit that later
/// pushes to that holder use up first. So pushes and claims together never exceed what was earned. While nobody has claimed,
/// a push reads and writes nothing per holder but the token's balance.
/// @custom:security Only a payer pushes, only a publisher publishes; anybody may carry a claim, it pays the holder only.
contract PayoutPool is AccessControl {
    using SafeERC20 for IERC20;

    /// @notice May push payments.
    bytes32 public constant PAYER_ROLE = keccak256("PAYER_ROLE");
    /// @notice May publish what is owed.
    bytes32 public constant PUBLISHER_ROLE = keccak256("PUBLISHER_ROLE");
    /// @notice Most recipients of one push: it must fit one transaction's gas limit.
    uint256 public constant MOST_RECIPIENTS = 500;

    /// @notice What individuals are paid in.
    IERC20 public immutable token;
    /// @notice Batches that were pushed; each is pushed once.
    mapping(bytes32 batch => bool) public pushed;
    /// @notice What a holder claimed and no push has used up yet, base units.
    mapping(address holder => uint256) public credit;
    /// @notice Sum of all credits, base units.
    uint256 public creditTotal;
    /// @notice Everything that left the pool, base units.
    uint256 public totalPaid;
    /// @notice Merkle root over (holder, owed) as of the last push; zero when a push came after it.
    bytes32 public root;

    /// @notice A batch was paid: `amount` in all, credits subtracted.
    event Pushed(bytes32 indexed batch, uint256 recipients, uint256 amount);
    /// @notice A push used up what a holder had claimed before.
    event CreditUsed(address indexed holder, uint256 amount);
    /// @notice A claim was paid.
    event Claimed(address indexed holder, uint256 amount);
    /// @notice A list of what is owed is in force until the next push.
    event RootPublished(bytes32 root);

    /// @notice The batch was pushed before.
    error BatchRepeated(bytes32 batch);
    /// @notice Nobody, too many, or not one amount per recipient.
    error BadBatch(uint256 recipients, uint256 amounts);
    /// @notice Recipients must strictly ascend: nobody stands in a batch twice.
    error NotAscending(address holder);
    /// @notice The root in force does not say that.
    error NotInRoot(address holder);
    /// @notice Everything the root says was claimed.
    error NothingDue(address holder);

    /// @param token_ what individuals are paid in
    /// @param admin may grant and take away roles
    /// @param payer may push
    /// @param publisher may publish
    constructor(IERC20 token_, address admin, address payer, address publisher) {
        token = token_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(PAYER_ROLE, payer);
        _grantRole(PUBLISHER_ROLE, publisher);
    }

    /// @notice Pay many individuals. A batch is pushed once.
    /// @param batch the batch's own id
    /// @param recipients strictly ascending, at most 500
    /// @param amounts base units, one per recipient; a recipient's credit is subtracted
    function push(bytes32 batch, address[] calldata recipients, uint256[] calldata amounts) external onlyRole(PAYER_ROLE) {
        if (pushed[batch]) revert BatchRepeated(batch);
        uint256 count = recipients.length;
        if (count == 0 || count > MOST_RECIPIENTS || count != amounts.length) revert BadBatch(count, amounts.length);
        pushed[batch] = true;
        if (root != bytes32(0)) root = bytes32(0);
        bool credits = creditTotal != 0;
        uint256 total = 0;
        uint256 used = 0;
        address last = address(0);
        for (uint256 i; i < count; ++i) {
            address holder = recipients[i];
            if (holder <= last) revert NotAscending(holder);
            last = holder;
            uint256 amount = amounts[i];
            if (credits) {
                uint256 claimed = _useCredit(holder, amount);
                amount -= claimed;
                used += claimed;
            }
            if (amount == 0) continue;
            total += amount;
            token.safeTransfer(holder, amount);
        }
        totalPaid += total;
        if (used > 0) creditTotal -= used;
        emit Pushed(batch, count, total);
    }

    /// @notice Publish what everybody is still owed, as an escape hatch should pushes stop. The next push ends it.
    /// @param root_ over leaves keccak256(keccak256(abi.encode(holder, owed))), pairs sorted
    function publish(bytes32 root_) external onlyRole(PUBLISHER_ROLE) {
        root = root_;
        emit RootPublished(root_);
    }

    /// @notice Carry somebody's claim: pays `holder` what the root says beyond what was claimed already.
    /// @param holder who is paid, whoever sends this
    /// @param owed what the root says, base units
    /// @param proof siblings from the leaf upwards
    function claim(address holder, uint256 owed, bytes32[] calldata proof) external {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(holder, owed))));
        if (!MerkleProof.verifyCalldata(proof, root, leaf)) revert NotInRoot(holder);
        uint256 before = credit[holder];
        if (owed <= before) revert NothingDue(holder);
        uint256 amount = owed - before;
        credit[holder] = owed;
        creditTotal += amount;
        totalPaid += amount;
        emit Claimed(holder, amount);
        token.safeTransfer(holder, amount);
    }

    /// @dev What of `amount` the holder has had already; the credit shrinks by it, the sum of credits when the batch is through.
    function _useCredit(address holder, uint256 amount) private returns (uint256 used) {
        uint256 standing = credit[holder];
        if (standing == 0) return 0;
        used = standing < amount ? standing : amount;
        credit[holder] = standing - used;
        emit CreditUsed(holder, used);
    }
}
