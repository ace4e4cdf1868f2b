<?php
/**
 * Plugin Name: Sluice
 * Description: First-party events: puts the tracker of your own Sluice stack on the site, tells it of WooCommerce, and respects who says no.
 * Version: 0.1.0
 * Requires at least: 6.0
 * Requires PHP: 7.4
 * License: MIT
 * License URI: https://opensource.org/license/mit
 * Text Domain: sluice
 */

defined( 'ABSPATH' ) || exit;

define( 'SLUICE_VERSION', '0.1.0' );

require_once __DIR__ . '/includes/settings.php';
require_once __DIR__ . '/includes/tag.php';
require_once __DIR__ . '/includes/told.php';
require_once __DIR__ . '/includes/user.php';
require_once __DIR__ . '/includes/opt-out.php';
require_once __DIR__ . '/includes/products.php';
require_once __DIR__ . '/includes/woocommerce.php';

sluice_tag_hooks();
sluice_told_hooks();
sluice_user_hooks();
sluice_opt_out_hooks();
sluice_woocommerce_hooks( __FILE__ );

if ( is_admin() ) {
	require_once __DIR__ . '/includes/settings-page.php';
	sluice_settings_page_hooks();
}
