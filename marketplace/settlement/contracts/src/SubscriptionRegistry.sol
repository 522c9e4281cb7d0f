// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

/// @title Registered subscription agreements
/// @notice One root per collective and epoch over the hashes of agreements in force; revocations one by one.
/// @dev The leaf is the EIP-712 struct hash of the agreement. It holds only hashes: of the terms, of the data requirement, of
/// the payout address with a salt. Nobody can tell from it who subscribed.
contract SubscriptionRegistry is AccessControl, EIP712 {
    /// @notice What an individual signs: hashes, the rate in base units per visit, validity in unix seconds, a nonce.
    struct SubscriptionAgreement {
        bytes32 collectiveId;
        bytes32 termsHash;
        bytes32 requirementHash;
        uint256 rate;
        bytes32 payoutHash;
        uint64 validFrom;
        uint64 validUntil;
        uint256 nonce;
    }

    /// @notice May register epochs and record revocations.
    bytes32 public constant PUBLISHER_ROLE = keccak256("PUBLISHER_ROLE");
    /// @notice EIP-712 type hash of `SubscriptionAgreement`.
    bytes32 public constant AGREEMENT_TYPEHASH = keccak256(
        "SubscriptionAgreement(bytes32 collectiveId,bytes32 termsHash,bytes32 requirementHash,uint256 rate,bytes32 payoutHash,uint64 validFrom,uint64 validUntil,uint256 nonce)"
    );

    /// @notice Root over the agreements in force, per collective and epoch.
    mapping(bytes32 collectiveId => mapping(uint64 epoch => bytes32)) public roots;
    /// @notice Agreements that ended.
    mapping(bytes32 agreementHash => bool) public revoked;

    /// @notice A collective's agreements of an epoch are on record.
    event Registered(bytes32 indexed collectiveId, uint64 indexed epoch, bytes32 root);
    /// @notice An agreement ended.
    event Revoked(bytes32 indexed collectiveId, bytes32 indexed agreementHash);

    /// @notice A registered epoch never changes.
    error EpochRegistered(bytes32 collectiveId, uint64 epoch);

    /// @param admin may grant and take away roles
    /// @param publisher may register and revoke
    constructor(address admin, address publisher) EIP712("Compute-to-SSI", "1") {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(PUBLISHER_ROLE, publisher);
    }

    /// @notice Register the agreements of one collective and epoch. A registered epoch never changes.
    /// @param collectiveId the collective's id, a UUID in the first 16 bytes
    /// @param epoch the settlement epoch
    /// @param root over keccak256 of the agreement hashes, pairs sorted
    function register(bytes32 collectiveId, uint64 epoch, bytes32 root) external onlyRole(PUBLISHER_ROLE) {
        if (roots[collectiveId][epoch] != bytes32(0)) revert EpochRegistered(collectiveId, epoch);
        roots[collectiveId][epoch] = root;
        emit Registered(collectiveId, epoch, root);
    }

    /// @notice Record that an agreement ended. Access ended earlier, when the wallet deleted its permit.
    /// @param collectiveId whose agreement it was
    /// @param agreementHash the EIP-712 struct hash
    function revoke(bytes32 collectiveId, bytes32 agreementHash) external onlyRole(PUBLISHER_ROLE) {
        revoked[agreementHash] = true;
        emit Revoked(collectiveId, agreementHash);
    }

    /// @notice Whether an agreement was registered in an epoch and is not revoked.
    /// @param collectiveId the collective
    /// @param epoch the settlement epoch
    /// @param agreementHash the EIP-712 struct hash
    /// @param proof siblings from the leaf upwards
    /// @return whether it is in force
    function isInForce(bytes32 collectiveId, uint64 epoch, bytes32 agreementHash, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        bytes32 leaf = keccak256(bytes.concat(agreementHash));
        return !revoked[agreementHash] && MerkleProof.verifyCalldata(proof, roots[collectiveId][epoch], leaf);
    }

    /// @notice The EIP-712 struct hash of an agreement.
    /// @param a the agreement
    /// @return its hash, the one that is registered and revoked
    function hashAgreement(SubscriptionAgreement calldata a) external pure returns (bytes32) {
        return keccak256(
            abi.encode(
                AGREEMENT_TYPEHASH, a.collectiveId, a.termsHash, a.requirementHash, a.rate, a.payoutHash, a.validFrom, a.validUntil, a.nonce
            )
        );
    }
}
