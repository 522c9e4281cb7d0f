// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

/// @title One pool that pays individuals of all collectives
/// @notice Everybody is paid from the same pool in batches, so that a payment does not say which collective it came from.
/// @dev `paidTo` counts both ways of being paid, so a published cumulative amount is never paid on top of a push.
/// @custom:security Only a payer pushes, only a publisher publishes; anybody may carry a claim, it pays the holder only.
contract PayoutPool is AccessControl {
    using SafeERC20 for IERC20;

    bytes32 public constant PAYER_ROLE = keccak256("PAYER_ROLE");
    bytes32 public constant PUBLISHER_ROLE = keccak256("PUBLISHER_ROLE");
    /// @notice Most recipients of one push: it must fit one transaction's gas limit.
    uint256 public constant MOST_RECIPIENTS = 500;

    IERC20 public immutable token;
    mapping(bytes32 batch => bool) public pushed;
    mapping(address holder => uint256) public paidTo;
    uint256 public totalPaid;
    bytes32 public root;

    event Pushed(bytes32 indexed batch, uint256 recipients, uint256 amount);
    event Paid(address indexed holder, uint256 amount);
    event RootPublished(bytes32 root);

    error BatchRepeated(bytes32 batch);
    error BadBatch(uint256 recipients, uint256 amounts);
    error NotAscending(address holder);
    error NotInRoot(address holder);
    error NothingDue(address holder);

    constructor(IERC20 token_, address admin, address payer, address publisher) {
        token = token_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(PAYER_ROLE, payer);
        _grantRole(PUBLISHER_ROLE, publisher);
    }

    /// @notice Pay many individuals. A batch is pushed once.
    /// @param recipients strictly ascending, at most 500
    /// @param amounts base units, one per recipient
    function push(bytes32 batch, address[] calldata recipients, uint256[] calldata amounts) external onlyRole(PAYER_ROLE) {
        if (pushed[batch]) revert BatchRepeated(batch);
        uint256 count = recipients.length;
        if (count == 0 || count > MOST_RECIPIENTS || count != amounts.length) revert BadBatch(count, amounts.length);
        pushed[batch] = true;
        uint256 total;
        address last;
        for (uint256 i; i < count; ++i) {
            address holder = recipients[i];
            if (holder <= last) revert NotAscending(holder);
            last = holder;
            paidTo[holder] += amounts[i];
            total += amounts[i];
            token.safeTransfer(holder, amounts[i]);
        }
        totalPaid += total;
        emit Pushed(batch, count, total);
    }

    /// @notice Publish what everybody earned in total, as an escape hatch should pushes stop.
    function publish(bytes32 root_) external onlyRole(PUBLISHER_ROLE) {
        root = root_;
        emit RootPublished(root_);
    }

    /// @notice Carry somebody's claim: pays `holder` what the root says beyond what was paid already.
    function claim(address holder, uint256 cumulative, bytes32[] calldata proof) external {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(holder, cumulative))));
        if (!MerkleProof.verifyCalldata(proof, root, leaf)) revert NotInRoot(holder);
        uint256 before = paidTo[holder];
        if (cumulative <= before) revert NothingDue(holder);
        paidTo[holder] = cumulative;
        totalPaid += cumulative - before;
        emit Paid(holder, cumulative - before);
        token.safeTransfer(holder, cumulative - before);
    }
}
