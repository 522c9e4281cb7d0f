// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";

/// @title What a model's datatoken must be able to do
/// @notice Ocean's datatokens can; this contract is made their minter when a model is published.
interface IDatatoken {
    /// @notice Create datatokens for somebody.
    /// @param account who gets them
    /// @param value in units of the datatoken
    function mint(address account, uint256 value) external;
}

/// @title Pay for model
/// @notice Sells finished models. The price splits between the collective and the individuals whose visits made the model; theirs goes
/// to the payout pool, from where it reaches them in lots like everything else they earn. The buyer gets one datatoken of the model:
/// the right to download it.
/// @dev The individuals' part is rounded down to a base unit and the collective gets the rest, so the two always make the price. A buyer
/// names the most they pay, so that a price that rises meanwhile costs them nothing.
/// @custom:security Only a lister offers and withdraws. Nothing stays in this contract.
contract ModelSale is AccessControl {
    using SafeERC20 for IERC20;

    /// @notice One model on offer. `share` is what individuals get, in millionths of the price.
    struct Model {
        address datatoken;
        uint32 share;
        bool offered;
        address collective;
        uint128 price;
    }

    /// @notice May offer and withdraw models.
    bytes32 public constant LISTER_ROLE = keccak256("LISTER_ROLE");
    /// @notice The whole of a price, in millionths.
    uint256 public constant WHOLE = 1_000_000;
    /// @notice What a buyer gets of the model's datatoken.
    uint256 public constant ONE = 1e18;

    /// @notice What prices are paid in.
    IERC20 public immutable token;
    /// @notice Receives the individuals' part; pays them.
    address public immutable pool;

    /// @notice Every model that was ever offered.
    mapping(bytes32 modelId => Model) public models;
    /// @notice Who bought what; everybody buys a model once.
    mapping(bytes32 modelId => mapping(address buyer => bool)) public bought;
    /// @notice What all sales brought, base units.
    uint256 public soldTotal;
    /// @notice What of it went to the pool, base units.
    uint256 public pooledTotal;

    /// @notice A model is on offer, or its terms of sale changed.
    event Offered(bytes32 indexed modelId, address datatoken, address collective, uint256 price, uint32 share);
    /// @notice A model is no longer on offer. Who bought it keeps it.
    event Withdrawn(bytes32 indexed modelId);
    /// @notice A model was bought.
    event Sold(bytes32 indexed modelId, address indexed buyer, uint256 price, uint256 toIndividuals, uint256 toCollective);

    /// @notice A model has a datatoken, a collective, a price, and at most the whole of it for individuals.
    error BadOffer();
    /// @notice The model is not on offer.
    error NotOffered(bytes32 modelId);
    /// @notice The price is above what the buyer agreed to.
    error TooDear(uint256 price, uint256 most);
    /// @notice This buyer has the model already.
    error AlreadyBought(bytes32 modelId, address buyer);
    /// @notice Without a pool nobody could be paid.
    error NoPool();

    /// @param token_ what prices are paid in
    /// @param pool_ the payout pool
    /// @param admin may grant and take away roles
    /// @param lister may offer and withdraw
    constructor(IERC20 token_, address pool_, address admin, address lister) {
        if (pool_ == address(0)) revert NoPool();
        token = token_;
        pool = pool_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(LISTER_ROLE, lister);
    }

    /// @notice Put a model on offer, or change what it costs from now on.
    /// @param modelId the job that made it, a UUID in the first 16 bytes
    /// @param datatoken the model's datatoken; this contract must be its minter
    /// @param collective gets its part of every sale at once
    /// @param price base units
    /// @param share the individuals' part in millionths
    function offer(bytes32 modelId, address datatoken, address collective, uint128 price, uint32 share)
        external
        onlyRole(LISTER_ROLE)
    {
        if (datatoken == address(0) || collective == address(0) || price == 0 || share > WHOLE) revert BadOffer();
        models[modelId] = Model(datatoken, share, true, collective, price);
        emit Offered(modelId, datatoken, collective, price, share);
    }

    /// @notice Take a model off the market.
    /// @param modelId the model
    function withdraw(bytes32 modelId) external onlyRole(LISTER_ROLE) {
        if (!models[modelId].offered) revert NotOffered(modelId);
        models[modelId].offered = false;
        emit Withdrawn(modelId);
    }

    /// @notice Buy a model. The caller pays and gets its datatoken.
    /// @param modelId the model
    /// @param most the most the buyer pays, base units
    function buy(bytes32 modelId, uint256 most) public {
        Model memory model = models[modelId];
        if (!model.offered) revert NotOffered(modelId);
        if (model.price > most) revert TooDear(model.price, most);
        if (bought[modelId][msg.sender]) revert AlreadyBought(modelId, msg.sender);
        bought[modelId][msg.sender] = true;
        uint256 price = model.price;
        uint256 toIndividuals = price * model.share / WHOLE;
        uint256 toCollective = price - toIndividuals;
        soldTotal += price;
        pooledTotal += toIndividuals;
        emit Sold(modelId, msg.sender, price, toIndividuals, toCollective);
        if (toIndividuals > 0) token.safeTransferFrom(msg.sender, pool, toIndividuals);
        if (toCollective > 0) token.safeTransferFrom(msg.sender, model.collective, toCollective);
        IDatatoken(model.datatoken).mint(msg.sender, ONE);
    }

    /// @notice The same with an EIP-2612 permit, so that a buyer signs once.
    /// @param modelId the model
    /// @param most the most the buyer pays; the permit is for exactly this amount
    /// @param deadline until when the permit is good, unix seconds
    /// @param v of the permit's signature
    /// @param r of the permit's signature
    /// @param s of the permit's signature
    function buyWithPermit(bytes32 modelId, uint256 most, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        // A permit that somebody else submitted first has done its work; the transfer decides.
        try IERC20Permit(address(token)).permit(msg.sender, address(this), most, deadline, v, r, s) {} catch {}
        buy(modelId, most);
    }
}
