<?php
/** What the plugin is told to do: one option, `sluice`, an array. */

defined( 'ABSPATH' ) || exit;

const SLUICE_CONSENT        = array( 'none', 'pending', 'wp_consent_api', 'tcf', 'gcm' );
const SLUICE_BEFORE_CONSENT = array( 'hold', 'cookieless' );
const SLUICE_IDENTIFY = array( 'nobody', 'hash', 'id' );

function sluice_defaults(): array {
	return array(
		'src'            => '',
		'site_id'        => '',
		'endpoint'       => '',
		'respect_dnt'    => true,
		'consent'        => 'none',
		'before_consent' => 'hold',
		'plugins'        => '',
		'excluded_roles' => array( 'administrator' ),
		'woocommerce'    => false,
		'identify'       => 'nobody',
	);
}

/** The settings, whole and of the right types whatever stands in the database. */
function sluice_settings(): array {
	$stored = get_option( 'sluice', array() );
	return sluice_sanitize( array_merge( sluice_defaults(), is_array( $stored ) ? $stored : array() ) );
}

/** Settings from a form: what is not known is left out, what is not possible is its default. */
function sluice_sanitize( $given ): array {
	$given = is_array( $given ) ? $given : array();
	$text  = static function ( string $name ) use ( $given ): string {
		return isset( $given[ $name ] ) && is_string( $given[ $name ] ) ? sanitize_text_field( $given[ $name ] ) : '';
	};
	// `sanitize_text_field` would take what is percent-encoded out of an address.
	$address = static function ( string $name ) use ( $given ): string {
		return isset( $given[ $name ] ) && is_string( $given[ $name ] ) ? sluice_clean_address( trim( $given[ $name ] ) ) : '';
	};
	$roles = isset( $given['excluded_roles'] ) && is_array( $given['excluded_roles'] ) ? $given['excluded_roles'] : array();
	return array(
		'src'            => $address( 'src' ),
		'site_id'        => mb_substr( $text( 'site_id' ), 0, 200 ),
		'endpoint'       => $address( 'endpoint' ),
		'respect_dnt'    => ! empty( $given['respect_dnt'] ),
		'consent'        => in_array( $text( 'consent' ), SLUICE_CONSENT, true ) ? $text( 'consent' ) : 'none',
		'before_consent' => in_array( $text( 'before_consent' ), SLUICE_BEFORE_CONSENT, true ) ? $text( 'before_consent' ) : 'hold',
		'plugins'        => sluice_clean_names( $text( 'plugins' ) ),
		'excluded_roles' => array_values( array_unique( array_map( 'sanitize_text_field', array_filter( $roles, 'is_string' ) ) ) ),
		'woocommerce'    => ! empty( $given['woocommerce'] ),
		'identify'       => in_array( $text( 'identify' ), SLUICE_IDENTIFY, true ) ? $text( 'identify' ) : 'nobody',
	);
}

/** An address by http or https, or a path of this site's; '' for anything else. */
function sluice_clean_address( string $address ): string {
	if ( preg_match( '#^/(?!/)[^\s"\'<>\\\\]*$#', $address ) ) {
		return $address;
	}
	// WordPress would make one of anything, by putting http:// before it.
	return preg_match( '#^https?://[^/]#i', $address ) ? esc_url_raw( $address, array( 'https', 'http' ) ) : '';
}

/** Names of plugins with one space between them. */
function sluice_clean_names( string $names ): string {
	$kept = preg_grep( '/^[a-z][a-z0-9-]{0,39}$/', preg_split( '/[\s,]+/', strtolower( $names ) ) );
	return implode( ' ', array_unique( $kept ) );
}
