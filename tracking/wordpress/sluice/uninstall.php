<?php
/**
 * Removes what the plugin keeps: one option, on each site of a network.
 * That an order was told stays on the order, so that it is not told again.
 */

defined( 'WP_UNINSTALL_PLUGIN' ) || exit;

if ( is_multisite() ) {
	foreach ( get_sites( array( 'fields' => 'ids', 'number' => 0 ) ) as $sluice_site ) {
		switch_to_blog( $sluice_site );
		delete_option( 'sluice' );
		restore_current_blog();
	}
} else {
	delete_option( 'sluice' );
}
