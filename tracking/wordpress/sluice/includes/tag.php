<?php
/** The script tag: async, its settings as data attributes, nothing inline. */

defined( 'ABSPATH' ) || exit;

function sluice_tag_hooks(): void {
	add_action( 'wp_enqueue_scripts', 'sluice_enqueue' );
	add_filter( 'script_loader_src', 'sluice_script_src', 10, 2 );
	add_filter( 'script_loader_tag', 'sluice_script_tag', 10, 2 );
}

/** Is there something to load, and somebody whom it may tell of? */
function sluice_is_wanted(): bool {
	$settings = sluice_settings();
	return '' !== $settings['src'] && ! sluice_is_excluded( sluice_roles(), $settings['excluded_roles'] );
}

/** Who administrates a network does so on each of its sites, also where they have no role. */
function sluice_roles(): array {
	$roles = wp_get_current_user()->roles;
	return is_multisite() && is_super_admin() ? array_merge( $roles, array( 'administrator' ) ) : $roles;
}

function sluice_is_excluded( array $roles, array $excluded ): bool {
	return array() !== array_intersect( $roles, $excluded );
}

function sluice_enqueue(): void {
	if ( ! sluice_is_wanted() ) {
		return;
	}
	if ( 'nobody' !== sluice_settings()['identify'] ) {
		// In the head and not async: the tracker may run while the rest of the page is still coming.
		wp_enqueue_script( 'sluice-signed-out', plugins_url( 'js/signed-out.js', __DIR__ ), array(), SLUICE_VERSION, false );
	}
	// No version: the address is the stack's, which says itself how long it may be kept.
	wp_enqueue_script( 'sluice', sluice_settings()['src'], array(), null, false ); // phpcs:ignore WordPress.WP.EnqueuedResourceParameters.MissingVersion
	wp_enqueue_script( 'sluice-page', plugins_url( 'js/page.js', __DIR__ ), array(), SLUICE_VERSION, true );
}

/** Data attributes by setting; one that says what holds anyway is left out. */
function sluice_attributes( array $settings ): array {
	$attributes = array( 'async' => true );
	$said       = array(
		'data-site-id'  => $settings['site_id'],
		'data-endpoint' => $settings['endpoint'],
		'data-plugins'  => $settings['plugins'],
	);
	foreach ( $said as $name => $value ) {
		if ( '' !== $value ) {
			$attributes[ $name ] = $value;
		}
	}
	if ( ! $settings['respect_dnt'] ) {
		$attributes['data-respect-dnt'] = 'false';
	}
	if ( 'none' !== $settings['consent'] ) {
		// The tracker itself hears a banner that speaks TCF or Google's Consent Mode.
		$attributes['data-consent'] = in_array( $settings['consent'], array( 'tcf', 'gcm' ), true ) ? $settings['consent'] : 'pending';
		if ( 'cookieless' === $settings['before_consent'] ) {
			$attributes['data-before-consent'] = 'cookieless';
		}
	}
	return $attributes;
}

/** A path is the host's, as the endpoint's is: WordPress would put the folder that it lies in before it. */
function sluice_script_src( $src, $handle ) {
	$said = 'sluice' === $handle ? sluice_settings()['src'] : '';
	return '' !== $said && '/' === $said[0] ? $said : $src;
}

function sluice_script_tag( string $tag, string $handle ): string {
	return 'sluice' === $handle ? sluice_add_attributes( $tag, sluice_attributes( sluice_settings() ) ) : $tag;
}

/** Put attributes on the first script tag that has an address; others may stand around it. */
function sluice_add_attributes( string $tag, array $attributes ): string {
	$text = '';
	foreach ( $attributes as $name => $value ) {
		$text .= true === $value ? " $name" : sprintf( ' %s="%s"', $name, esc_attr( $value ) );
	}
	$put = static function ( array $match ) use ( $text ): string {
		// One that is there already wins in HTML: ours have to be the first.
		return '<script' . $text . preg_replace( '/\s+(?:async|defer)(?:=(?:"[^"]*"|\'[^\']*\'))?(?=[\s>])/', '', $match[1] );
	};
	return (string) preg_replace_callback( '/<script((?=\s)[^>]*\ssrc=[^>]*>)/', $put, $tag, 1 );
}
