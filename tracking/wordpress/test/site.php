<?php
/**
 * A small site with the plugin, for `php -S`: what a page is, its address says. Settings are in
 * SLUICE_SETTINGS; the session and the order's mark last from page to page in SLUICE_STATE.
 */

require __DIR__ . '/wordpress.php';
require __DIR__ . '/woocommerce.php';

$path = parse_url( $_SERVER['REQUEST_URI'], PHP_URL_PATH );
if ( preg_match( '#^(?:/wp-content/plugins/sluice)?/js/((?:page|signed-out)\.js)$#', $path, $found ) ) {
	header( 'Content-Type: text/javascript' );
	readfile( __DIR__ . '/../sluice/js/' . $found[1] );
	return true;
}
if ( preg_match( '#^/js/([a-zA-Z0-9_.-]+\.js)$#', $path, $found ) ) {
	header( 'Content-Type: text/javascript' );
	readfile( __DIR__ . '/../../dist/' . $found[1] );
	return true;
}
if ( '/jquery.js' === $path ) {
	// As much of jQuery as WooCommerce tells the page by.
	header( 'Content-Type: text/javascript' );
	echo 'const on = {}; window.jQuery = () => ({ on: (name, run) => { on[name] = run; } });',
		'window.addToCart = async () => { const answer = await fetch("/ajax-add"); on.added_to_cart({}, await answer.json()); };';
	return true;
}
if ( '/consent-api.js' === $path ) {
	// As much of the plugin WP Consent API as a page can ask; its type is what a banner has told it.
	header( 'Content-Type: text/javascript' );
	echo 'window.wp_has_consent = (category) => {',
		'  const [, answer] = new RegExp(`wp_consent_${category}=(\\\\w+)`).exec(document.cookie) || [];',
		'  const type = window.wp_consent_type;',
		'  return !type || (type === "optout" && !answer) || answer === "allow";',
		'};';
	return true;
}

Site::$options = array( 'sluice' => json_decode( getenv( 'SLUICE_SETTINGS' ), true ) );
Site::$user_id = isset( $_COOKIE['signed_in'] ) ? 12 : 0;
require __DIR__ . '/../sluice/sluice.php';

$file  = getenv( 'SLUICE_STATE' );
$state = is_file( $file ) ? json_decode( file_get_contents( $file ), true ) : array( 'session' => array(), 'meta' => array() );

Shop::$session             = $state['session'];
Shop::$orders[1001]->meta  = $state['meta'];
register_shutdown_function(
	static function () use ( $file ) {
		file_put_contents( $file, json_encode( array( 'session' => Shop::$session, 'meta' => Shop::$orders[1001]->meta ) ) );
	}
);

header( "Content-Security-Policy: default-src 'none'; script-src 'self'; connect-src *; img-src data:" );
if ( '/ajax-add' === $path ) {
	do_action( 'woocommerce_add_to_cart', 'k', 7, 1, 0, array(), array() );
	do_action( 'woocommerce_ajax_added_to_cart', 7 );
	echo json_encode( apply_filters( 'woocommerce_add_to_cart_fragments', array() ) );
	return true;
}
if ( '/add' === $path ) {
	do_action( 'woocommerce_add_to_cart', 'k', 7, 2, 8, array(), array() );
	header( 'Location: /cart', true, 303 );
	return true;
}
if ( '/sign-out' === $path ) {
	setcookie( 'signed_in', '', 1, '/' );
	do_action( 'wp_logout', 12 );
	header( 'Location: /slow', true, 303 );
	return true;
}
Shop::$page_of = '/product' === $path ? 7 : 0;

do_action( 'wp_enqueue_scripts' );
echo '<!doctype html><title>Shop</title><link rel="icon" href="data:,">', print_scripts( false );
echo '<main>', sluice_opt_out_link( '' ), sluice_opt_out_link( '' );
if ( '/thanks' === $path ) {
	do_action( 'woocommerce_thankyou', 1001 );
}
echo '</main>';
if ( '/slow' === $path ) {
	// Enough that the browser begins with it, and then a footer that takes its time.
	echo str_repeat( ' ', 4096 );
	while ( ob_get_level() ) {
		ob_end_flush();
	}
	flush();
	usleep( 500000 );
}
if ( '/product' === $path ) {
	echo '<script src="/jquery.js"></script>';
}
do_action( 'wp_footer' );
echo print_scripts( true );
if ( 'wp_consent_api' === sluice_settings()['consent'] ) {
	// It comes last, behind the scripts of all other plugins.
	echo '<script src="/consent-api.js"></script>';
}
