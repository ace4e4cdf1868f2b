<?php
/** Runs the plugin's tests: `php run.php`. One line each, in the way of TAP; exit code 1 when one fails. */

error_reporting( E_ALL );
set_error_handler(
	static function ( $level, $message, $file, $line ) {
		throw new ErrorException( $message, 0, $level, $file, $line );
	}
);
require __DIR__ . '/wordpress.php';
require __DIR__ . '/woocommerce.php';
require __DIR__ . '/../sluice/sluice.php';
require __DIR__ . '/../sluice/includes/settings-page.php';

function same( $wanted, $found ): void {
	if ( $wanted !== $found ) {
		throw new Exception( 'wanted ' . var_export( $wanted, true ) . "\nfound " . var_export( $found, true ) );
	}
}
function set_up( array $different = array() ): void {
	Site::$options = array( 'sluice' => $different + array( 'src' => 'https://events.shop.example/js/tracking.js' ) );
	Site::$scripts = array();
	Site::$roles   = array();
	Site::$errors  = array();
	Site::$folder  = '';
	Site::$user_id = 0;
	Site::$is_network     = false;
	Site::$is_super_admin = false;
	Site::$did     = array();
	Shop::$session = array();
	Shop::$page_of = 0;
	Shop::$orders[1001]->meta   = array();
	Shop::$orders[1001]->status = 'processing';
}
/** The commands that one page tells: those of a request of its own. */
function told(): array {
	ob_start();
	$before = count( sluice_commands() );
	sluice_print_told();
	$html = ob_get_clean();
	if ( ! preg_match( '#^<script type="application/json" id="sluice-told">(.*)</script>$#', trim( $html ), $found ) ) {
		return array();
	}
	return array_slice( json_decode( $found[1], true )['commands'], $before );
}
function shown( callable $show ): string {
	ob_start();
	$show();
	return ob_get_clean();
}

$tests = array(
	'nothing is put on the site before an address is given' => static function () {
		set_up( array( 'src' => '' ) );
		do_action( 'wp_enqueue_scripts' );
		same( array(), Site::$scripts );
		same( '', shown( 'sluice_print_told' ) );
	},
	'the tag is asynchronous, in the head, and bare where the defaults hold' => static function () {
		set_up();
		do_action( 'wp_enqueue_scripts' );
		same( "<script async src=\"https://events.shop.example/js/tracking.js\" id=\"sluice-js\"></script>\n", print_scripts( false ) );
		same( "<script src=\"/wp-content/plugins/sluice/js/page.js?ver=0.1.0\" id=\"sluice-page-js\"></script>\n", print_scripts( true ) );
	},
	'every setting is an attribute, escaped' => static function () {
		set_up( array( 'site_id' => 'a"onload="x&', 'endpoint' => '/collect?a=1&b=2', 'plugins' => 'vitals errors', 'respect_dnt' => false, 'consent' => 'wp_consent_api', 'before_consent' => 'cookieless' ) );
		do_action( 'wp_enqueue_scripts' );
		same(
			'<script async data-site-id="a&quot;onload=&quot;x&amp;" data-endpoint="/collect?a=1&amp;b=2" data-plugins="vitals errors" data-respect-dnt="false" data-consent="pending" data-before-consent="cookieless" src="https://events.shop.example/js/tracking.js" id="sluice-js"></script>' . "\n",
			print_scripts( false )
		);
	},
	'a banner that the tracker hears itself is named to it' => static function () {
		foreach ( array( 'none' => null, 'pending' => 'pending', 'wp_consent_api' => 'pending', 'tcf' => 'tcf', 'gcm' => 'gcm' ) as $consent => $said ) {
			$attributes = sluice_attributes( array_merge( sluice_defaults(), array( 'consent' => $consent ) ) );
			same( $said, $attributes['data-consent'] ?? null );
			same( false, isset( $attributes['data-before-consent'] ) );
		}
	},
	'the tag as other versions of WordPress print it' => static function () {
		set_up();
		$put = static function ( string $tag ): string {
			return sluice_script_tag( $tag, 'sluice' );
		};
		same( "<script async type='text/javascript' src='/t.js' id='sluice-js'></script>", $put( "<script type='text/javascript' src='/t.js' id='sluice-js'></script>" ) );
		same( '<script async src="/t.js" id="sluice-js" data-wp-strategy="defer"></script>', $put( '<script src="/t.js" id="sluice-js" defer="defer" data-wp-strategy="defer"></script>' ) );
		same( '<script async src="/t.js"></script>', $put( '<script src="/t.js" async></script>' ) );
		same( '<script id="sluice-js-before">var a = "src=";</script><script async src="/t.js"></script>', $put( '<script id="sluice-js-before">var a = "src=";</script><script src="/t.js"></script>' ) );
		same( '<script src="/t.js"></script>', sluice_script_tag( '<script src="/t.js"></script>', 'jquery' ) );
	},
	'an excluded role is not recorded, and nothing is told' => static function () {
		set_up( array( 'excluded_roles' => array( 'editor' ), 'woocommerce' => true ) );
		Site::$roles   = array( 'customer', 'editor' );
		Shop::$page_of = 7;
		do_action( 'wp_enqueue_scripts' );
		same( array(), Site::$scripts );
		same( '', shown( 'sluice_print_told' ) );
		Site::$roles = array( 'customer' );
		do_action( 'wp_enqueue_scripts' );
		same( array( 'sluice', 'sluice-page' ), array_keys( Site::$scripts ) );
	},
	'administrators are excluded unless the setting says otherwise' => static function () {
		set_up();
		Site::$roles = array( 'administrator' );
		same( false, sluice_is_wanted() );
		set_up( array( 'excluded_roles' => array() ) );
		Site::$roles = array( 'administrator' );
		same( true, sluice_is_wanted() );
	},
	'who administrates the network is an administrator on each of its sites' => static function () {
		set_up();
		Site::$is_super_admin = true;
		same( true, sluice_is_wanted() );
		Site::$is_network = true;
		same( false, sluice_is_wanted() );
	},
	'a path is the host\'s, wherever WordPress lies' => static function () {
		set_up( array( 'src' => '/js/t.js' ) );
		Site::$folder = '/blog';
		do_action( 'wp_enqueue_scripts' );
		same( 1, preg_match( '#src="/js/t\.js"#', print_scripts( false ) ) );
	},
	'who signed out is forgotten before the tracker begins' => static function () {
		set_up( array( 'identify' => 'hash' ) );
		do_action( 'wp_enqueue_scripts' );
		same( array( 'sluice-signed-out', 'sluice', 'sluice-page' ), array_keys( Site::$scripts ) );
		same( 1, preg_match( '#^<script src="[^"]*signed-out\.js[^>]*></script>#', print_scripts( false ), $found ) );
		same( 0, preg_match( '#async#', $found[0] ) );
	},
	'what a form gives is cleaned' => static function () {
		same( sluice_defaults(), array_merge( sluice_sanitize( array() ), array( 'respect_dnt' => true, 'excluded_roles' => array( 'administrator' ) ) ) );
		same( sluice_sanitize( array() ), sluice_sanitize( 'text' ) );
		$clean = sluice_sanitize(
			array(
				'src'            => ' https://events.shop.example/js/t.js ',
				'endpoint'       => 'javascript:alert(1)',
				'site_id'        => "<b>shop</b>\n.example",
				'plugins'        => 'vitals, Errors  ../x replay vitals',
				'consent'        => 'yes',
				'excluded_roles' => array( 'Editor', 'a b"', array( 'x' ), 'editor' ),
				'identify'       => array( 'id' ),
				'unknown'        => 1,
				'woocommerce'    => '1',
			)
		);
		same(
			array(
				'src'            => 'https://events.shop.example/js/t.js',
				'site_id'        => 'shop .example',
				'endpoint'       => '',
				'respect_dnt'    => false,
				'consent'        => 'none',
				'before_consent' => 'hold',
				'plugins'        => 'vitals errors replay',
				'excluded_roles' => array( 'Editor', 'a b"', 'editor' ),
				'woocommerce'    => true,
				'identify'       => 'nobody',
			),
			$clean
		);
		same( $clean, sluice_sanitize( $clean ) );
		$given = array( 'src' => 'https://a.example/a%20b.js', 'site_id' => str_repeat( 'ä', 300 ) );
		$clean = sluice_sanitize( $given );
		same( 'https://a.example/a%20b.js', $clean['src'] );
		same( str_repeat( 'ä', 200 ), $clean['site_id'] );
	},
	'an address is by http, or a path of the site' => static function () {
		foreach ( array( '/js/t.js', 'https://a.example/t.js', 'http://a.example', 'HTTPS://a.example/t.js' ) as $address ) {
			same( $address, sluice_clean_address( $address ) );
		}
		foreach ( array( '//evil.example/t.js', '/\\evil.example', 'data:text/javascript,1', 'a.example/t.js', '/a"b', 'https://' ) as $address ) {
			same( '', sluice_clean_address( $address ) );
		}
	},
	'the settings page is for who may, has a nonce, and shows what holds' => static function () {
		set_up( array( 'site_id' => '"> x', 'excluded_roles' => array( 'editor' ) ) );
		sluice_add_settings_page();
		same( 'manage_options', Site::$hooks['options page'][2] );
		sluice_register_settings();
		same( 'sluice_sanitize_form', Site::$hooks['setting'][2]['sanitize_callback'] );
		same( '', shown( 'sluice_show_settings_page' ) );
		Site::$roles = array( 'administrator' );
		$html        = shown( 'sluice_show_settings_page' );
		foreach ( array( 'nonce of sluice', 'action="options.php"', 'value="&quot;&gt; x"', 'name="sluice[excluded_roles][]" value="editor" checked' ) as $part ) {
			same( true, false !== strpos( $html, $part ) );
		}
		same( count( sluice_defaults() ), count( Site::$hooks['fields'] ) );
	},
	'an address that is none is said to be none, and the one before stays' => static function () {
		set_up();
		$kept = sluice_sanitize_form( array( 'src' => 'shop' ) );
		same( array( 'shop is no address, and was not saved. One begins with https:// or with a /.' ), Site::$errors );
		same( 'https://events.shop.example/js/tracking.js', $kept['src'] );
		same( '', sluice_sanitize_form( array( 'src' => '' ) )['src'] );
	},
	'nobody is told of who is signed in, unless a setting says so' => static function () {
		set_up();
		Site::$user_id = 12;
		same( array(), told() );
		set_up( array( 'identify' => 'id' ) );
		same( array(), told() );
		Site::$user_id = 12;
		same( array( array( 'identify', '12' ) ), told() );
		set_up( array( 'identify' => 'hash' ) );
		Site::$user_id = 12;
		list( list( $command, $id ) ) = told();
		same( 1, preg_match( '/^[0-9a-f]{64}$/', $id ) );
		same( $id, sluice_user_id( 12, 'hash', wp_salt( 'auth' ) ) );
		same( false, $id === sluice_user_id( 12, 'hash', 'another site' ) );
		same( false, $id === sluice_user_id( 13, 'hash', wp_salt( 'auth' ) ) );
	},
	'a product that is seen' => static function () {
		set_up( array( 'woocommerce' => true ) );
		same( array(), told() );
		Shop::$page_of = 7;
		$product       = array( 'productId' => '7', 'sku' => 'shoe-7', 'name' => 'Shoe red', 'price' => 89.5, 'currency' => 'CHF', 'quantity' => 1, 'value' => 89.5 );
		same( array( array( 'track', 'product_view', $product ) ), told() );
		set_up();
		Shop::$page_of = 7;
		same( array(), told() );
	},
	'what is put into the cart is told by the next page, once' => static function () {
		set_up( array( 'woocommerce' => true ) );
		do_action( 'woocommerce_add_to_cart', 'k', 7, 2, 8, array(), array() );
		do_action( 'woocommerce_add_to_cart', 'k', 404, 1, 0, array(), array() );
		$product = array( 'productId' => '7', 'variantId' => '8', 'sku' => 'shoe-7-42', 'name' => 'Shoe, 42', 'price' => 89.5, 'currency' => 'CHF', 'quantity' => 2, 'value' => 179 );
		same( array( array( 'track', 'add_to_cart', $product ) ), told() );
		same( array(), told() );
	},
	'by AJAX it is told by the answer, and only by that one' => static function () {
		set_up( array( 'woocommerce' => true ) );
		do_action( 'woocommerce_add_to_cart', 'k', 7, 1, 0, array(), array() );
		same( array( 'a' => 'b' ), apply_filters( 'woocommerce_add_to_cart_fragments', array( 'a' => 'b' ) ) );
		do_action( 'woocommerce_ajax_added_to_cart', 7 );
		$fragments = apply_filters( 'woocommerce_add_to_cart_fragments', array() );
		same( 1, substr_count( $fragments['script#sluice-cart'], '"add_to_cart"' ) );
		same( array(), told() );
	},
	'the session does not grow without bound' => static function () {
		set_up( array( 'woocommerce' => true ) );
		for ( $i = 0; $i < 50; $i++ ) {
			do_action( 'woocommerce_add_to_cart', 'k', 7, 1, 0, array(), array() );
		}
		same( 20, count( told() ) );
	},
	'an order is a purchase once, and tells nothing of the customer' => static function () {
		set_up( array( 'woocommerce' => true ) );
		Shop::$orders[1001]->status = 'failed';
		do_action( 'woocommerce_thankyou', 1001 );
		same( array(), Shop::$orders[1001]->meta );
		$before                     = count( sluice_commands() );
		Shop::$orders[1001]->status = 'processing';
		do_action( 'woocommerce_thankyou', 1001 );
		do_action( 'woocommerce_thankyou', 1001 );
		do_action( 'woocommerce_thankyou', 404 );
		$shoe = array( 'productId' => '7', 'sku' => 'shoe-7', 'name' => 'Shoe red', 'price' => 80.55, 'currency' => 'CHF', 'quantity' => 2 );
		$gone = array( 'name' => 'No more sold', 'price' => 80.55, 'quantity' => 1 );
		$order = array( 'orderId' => '1001', 'value' => 186.0, 'revenue' => 186.0, 'tax' => 13.3, 'shipping' => 7.0, 'currency' => 'CHF', 'coupons' => array( 'autumn' ), 'itemCount' => 3, 'items' => array( $shoe, $gone ) );
		same( array( array( 'track', 'purchase', $order ) ), array_slice( sluice_commands(), $before ) );
		same( 1, Shop::$orders[1001]->saved );
	},
	'an order of an excluded role is not told, and not marked as told' => static function () {
		set_up( array( 'woocommerce' => true ) );
		Site::$roles = array( 'administrator' );
		do_action( 'woocommerce_thankyou', 1001 );
		same( array(), Shop::$orders[1001]->meta );
	},
	'nothing ends the data block but its end' => static function () {
		$block = sluice_block( 'a"b', array( 'x' => '</script><!--<script>&' ) );
		same( 1, substr_count( $block, '</script>' ) );
		same( 1, substr_count( $block, '<script' ) );
		same( false, strpos( $block, '<!--' ) );
		same( true, 0 === strpos( $block, '<script type="application/json" id="a&quot;b">' ) );
	},
	'the opt-out link has its texts, escaped' => static function () {
		$link = call_user_func( Site::$hooks['shortcode sluice_opt_out'], array( 'out' => '<b>No</b>', 'class' => 'x' ) );
		same( true, false !== strpos( $link, '>&lt;b&gt;No&lt;/b&gt;</a>' ) );
		same( false, strpos( $link, '<b>' ) );
		same( true, false !== strpos( call_user_func( Site::$hooks['shortcode sluice_opt_out'], '' ), 'Do not record my visits' ) );
	},
	'the plugin leaves no option behind' => static function () {
		set_up();
		Site::$options['other'] = 1;
		define( 'WP_UNINSTALL_PLUGIN', 'sluice/sluice.php' );
		require __DIR__ . '/../sluice/uninstall.php';
		same( array( 'other' => 1 ), Site::$options );
	},
);

$failed = 0;
foreach ( $tests as $name => $test ) {
	try {
		$test();
		echo "ok - $name\n";
	} catch ( Throwable $exception ) {
		++$failed;
		echo "not ok - $name\n  ", str_replace( "\n", "\n  ", $exception->getMessage() ), "\n  ", basename( $exception->getFile() ), ':', $exception->getLine(), "\n";
	}
}
echo '1..', count( $tests ), "\n";
exit( $failed ? 1 : 0 );
