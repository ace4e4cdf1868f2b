<?php
/** The script tag: async, its settings as data attributes, nothing inline. */

defined( 'ABSPATH' ) || exit;

function sluice_tag_hooks(): void {
	add_action( 'wp_enqueue_scripts', 'sluice_enqueue' );
	add_filter( 'script_loader_tag', 'sluice_script_tag', 10, 2 );
}

/** Is there something to load, and somebody whom it may tell of? */
function sluice_is_wanted(): bool {
	$settings = sluice_settings();
	return '' !== $settings['src'] && ! sluice_is_excluded( wp_get_current_user()->roles, $settings['excluded_roles'] );
}

function sluice_is_excluded( array $roles, array $excluded ): bool {
	return array() !== array_intersect( $roles, $excluded );
}

function sluice_enqueue(): void {
	if ( ! sluice_is_wanted() ) {
		return;
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
