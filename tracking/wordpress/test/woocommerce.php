<?php
/** What the plugin uses of WooCommerce, and no more. */

class Shop {
	public static array $session  = array();
	public static array $products = array();
	public static array $orders   = array();
	public static int $page_of    = 0;
}

class Product {
	private array $is;
	public function __construct( array $is ) {
		$this->is = $is + array( 'parent' => 0, 'sku' => '', 'price' => '' );
	}
	public function get_id() {
		return $this->is['id'];
	}
	public function get_parent_id() {
		return $this->is['parent'];
	}
	public function get_sku() {
		return $this->is['sku'];
	}
	public function get_name() {
		return $this->is['name'];
	}
	public function get_price() {
		return $this->is['price'];
	}
}

class Item {
	public ?Product $product;
	public int $quantity;
	public function __construct( ?Product $product, int $quantity ) {
		$this->product  = $product;
		$this->quantity = $quantity;
	}
	public function get_product() {
		return $this->product ? $this->product : false;
	}
	public function get_quantity() {
		return $this->quantity;
	}
	public function get_name() {
		return 'No more sold';
	}
}

class Order {
	public array $meta    = array();
	public string $status = 'processing';
	public array $items   = array();
	public int $saved     = 0;
	public function get_items() {
		return $this->items;
	}
	public function get_item_total( Item $item, $with_tax, $rounded ) {
		return 80.55;
	}
	public function get_order_number() {
		return '1001';
	}
	public function get_currency() {
		return 'CHF';
	}
	public function get_total() {
		return '186.00';
	}
	public function get_total_tax() {
		return '13.3';
	}
	public function get_shipping_total() {
		return '7';
	}
	public function get_discount_total() {
		return '';
	}
	public function get_coupon_codes() {
		return array( 'autumn' );
	}
	public function get_billing_email() {
		throw new Exception( 'nobody asks who it was' );
	}
	public function has_status( $statuses ) {
		return in_array( $this->status, (array) $statuses, true );
	}
	public function get_meta( $key ) {
		return $this->meta[ $key ] ?? '';
	}
	public function update_meta_data( $key, $value ) {
		$this->meta[ $key ] = $value;
	}
	public function save() {
		++$this->saved;
	}
}

function WC() {
	return (object) array(
		'session' => new class() {
			public function get( $key, $default ) {
				return Shop::$session[ $key ] ?? $default;
			}
			public function set( $key, $value ) {
				Shop::$session[ $key ] = $value;
			}
		},
	);
}
function wc_get_product( $id ) {
	return Shop::$products[ $id ] ?? false;
}
function wc_get_order( $id ) {
	return Shop::$orders[ $id ] ?? false;
}
function get_woocommerce_currency() {
	return 'CHF';
}
function is_product() {
	return Shop::$page_of > 0;
}
function get_queried_object_id() {
	return Shop::$page_of;
}

Shop::$products = array(
	7 => new Product( array( 'id' => 7, 'sku' => 'shoe-7', 'name' => 'Shoe </script><b>red</b>', 'price' => '89.5' ) ),
	8 => new Product( array( 'id' => 8, 'parent' => 7, 'sku' => 'shoe-7-42', 'name' => 'Shoe, 42', 'price' => '89.5' ) ),
);
$order          = new Order();
$order->items   = array( new Item( Shop::$products[7], 2 ), new Item( null, 1 ) );
Shop::$orders   = array( 1001 => $order );
