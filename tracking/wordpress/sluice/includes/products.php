<?php
/** WooCommerce's products and orders as properties of an event: what it is and costs, never whose. */

defined( 'ABSPATH' ) || exit;

function sluice_product( $product, string $currency ): array {
	$is_variation = (bool) $product->get_parent_id();
	return sluice_without_blanks(
		array(
			'productId' => (string) ( $is_variation ? $product->get_parent_id() : $product->get_id() ),
			'variantId' => $is_variation ? (string) $product->get_id() : '',
			'sku'       => (string) $product->get_sku(),
			'name'      => wp_strip_all_tags( (string) $product->get_name() ),
			'price'     => sluice_amount( $product->get_price() ),
			'currency'  => $currency,
		)
	);
}

/** So many of one product, as one event: with what they cost together. */
function sluice_line( $product, string $currency, $quantity ): array {
	$told = sluice_product( $product, $currency );
	$told['quantity'] = $quantity + 0;
	if ( isset( $told['price'] ) ) {
		$told['value'] = round( $told['price'] * $told['quantity'], 4 );
	}
	return $told;
}

function sluice_order( $order ): array {
	$items = array();
	foreach ( $order->get_items() as $item ) {
		$product = $item->get_product();
		$known   = $product ? sluice_product( $product, $order->get_currency() ) : array( 'name' => wp_strip_all_tags( $item->get_name() ) );
		$count   = (int) $item->get_quantity();
		// What was paid for one, discounts included.
		$price   = array( 'price' => $count ? sluice_amount( $order->get_item_total( $item, true, true ) ) : null );
		$items[] = sluice_without_blanks( array_merge( $known, $price, array( 'quantity' => $count ) ) );
	}
	return sluice_without_blanks(
		array(
			'orderId'  => (string) $order->get_order_number(),
			'value'    => sluice_amount( $order->get_total() ),
			'revenue'  => sluice_amount( $order->get_total() ),
			'tax'      => sluice_amount( $order->get_total_tax() ),
			'shipping' => sluice_amount( $order->get_shipping_total() ),
			'discount' => sluice_amount( $order->get_discount_total() ),
			'currency' => (string) $order->get_currency(),
			'coupons'  => array_values( $order->get_coupon_codes() ),
			'itemCount' => array_sum( array_column( $items, 'quantity' ) ),
			'items'    => $items,
		)
	);
}

/** WooCommerce keeps amounts as text, and '' where there is none. */
function sluice_amount( $amount ): ?float {
	return is_numeric( $amount ) ? round( (float) $amount, 4 ) : null;
}

function sluice_without_blanks( array $properties ): array {
	$said = static function ( $value ): bool {
		return null !== $value && '' !== $value && array() !== $value;
	};
	return array_filter( $properties, $said );
}
