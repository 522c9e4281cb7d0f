// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";

/// @title Development OCEAN
/// @notice Stands for the OCEAN token on a development chain. Never deployed where money is real.
contract DevToken is ERC20, ERC20Permit, AccessControl {
    /// @notice May mint, so that people who try the system have something to spend.
    bytes32 public constant FAUCET_ROLE = keccak256("FAUCET_ROLE");

    /// @param admin may grant and take away roles
    /// @param faucet may mint
    constructor(address admin, address faucet) ERC20("Development OCEAN", "OCEAN") ERC20Permit("Development OCEAN") {
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(FAUCET_ROLE, faucet);
    }

    /// @notice Create tokens for somebody.
    /// @param to who gets them
    /// @param amount base units
    function mint(address to, uint256 amount) external onlyRole(FAUCET_ROLE) {
        _mint(to, amount);
    }
}
