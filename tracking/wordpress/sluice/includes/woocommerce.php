<?php
/** WooCommerce: products seen, put into the cart, bought. */

defined( 'ABSPATH' ) || exit;

const SLUICE_CART        = 'sluice_cart';
const SLUICE_TOLD_ORDER  = '_sluice_told';
const SLUICE_MAX_IN_CART = 20;

function sluice_woocommerce_hooks( string $file ): void {
	add_action(
		'before_woocommerce_init',
		static function () use ( $file ) {
			if ( class_exists( '\Automattic\WooCommerce\Utilities\FeaturesUtil' ) ) {
				\Automattic\WooCommerce\Utilities\FeaturesUtil::declare_compatibility( 'custom_order_tables', $file, true );
			}
		}
	);
	add_action( 'woocommerce_add_to_cart', 'sluice_note_cart', 10, 4 );
	add_action( 'woocommerce_thankyou', 'sluice_tell_order' );
	add_action( 'sluice_telling', 'sluice_tell_product' );
	add_action( 'sluice_telling', 'sluice_tell_cart' );
	add_filter( 'woocommerce_add_to_cart_fragments', 'sluice_cart_fragment' );
}

function sluice_has_woocommerce(): bool {
	return function_exists( 'WC' ) && sluice_settings()['woocommerce'];
}

function sluice_tell_product(): void {
	if ( ! sluice_has_woocommerce() || ! is_product() ) {
		return;
	}
	$product = wc_get_product( get_queried_object_id() );
	if ( $product ) {
		sluice_tell( 'track', 'product_view', sluice_line( $product, get_woocommerce_currency(), 1 ) );
	}
}

/** The cart is filled by a request that may end in a redirect: kept in the customer's session until a page tells it. */
function sluice_note_cart( $key, $product_id, $quantity, $variation_id = 0 ): void {
	if ( ! sluice_has_woocommerce() || ! WC()->session ) {
		return;
	}
	$product = wc_get_product( $variation_id ? $variation_id : $product_id );
	if ( ! $product ) {
		return;
	}
	$noted   = (array) WC()->session->get( SLUICE_CART, array() );
	$noted[] = sluice_line( $product, get_woocommerce_currency(), $quantity );
	WC()->session->set( SLUICE_CART, array_slice( $noted, -SLUICE_MAX_IN_CART ) );
}

/** What was noted, once: whoever takes it tells it. */
function sluice_take_cart(): array {
	if ( ! sluice_has_woocommerce() || ! WC()->session ) {
		return array();
	}
	$noted = (array) WC()->session->get( SLUICE_CART, array() );
	if ( $noted ) {
		WC()->session->set( SLUICE_CART, null );
	}
	return $noted;
}

function sluice_tell_cart(): void {
	foreach ( sluice_take_cart() as $properties ) {
		sluice_tell( 'track', 'add_to_cart', $properties );
	}
}

/** Added without a new page: told with the fragments of the answer, which js/page.js is handed. */
function sluice_cart_fragment( $fragments ) {
	// Fragments are asked for at other times too, when nobody listens and they are kept and shown again.
	if ( ! did_action( 'woocommerce_ajax_added_to_cart' ) || ! sluice_has_woocommerce() || ! sluice_is_wanted() ) {
		return $fragments;
	}
	$commands = array();
	foreach ( sluice_take_cart() as $properties ) {
		$commands[] = array( 'track', 'add_to_cart', $properties );
	}
	$fragments['script#sluice-cart'] = sluice_block( 'sluice-cart', array( 'commands' => $commands ) );
	return $fragments;
}

/** Once for an order, however often its page is opened: the order itself remembers. */
function sluice_tell_order( $order_id ): void {
	$order = sluice_has_woocommerce() && sluice_is_wanted() ? wc_get_order( $order_id ) : null;
	// A failed payment shows the page as well, and may still become an order.
	if ( ! $order || $order->has_status( array( 'failed', 'cancelled' ) ) || $order->get_meta( SLUICE_TOLD_ORDER ) ) {
		return;
	}
	sluice_tell( 'track', 'purchase', sluice_order( $order ) );
	$order->update_meta_data( SLUICE_TOLD_ORDER, gmdate( 'c' ) );
	$order->save();
}
