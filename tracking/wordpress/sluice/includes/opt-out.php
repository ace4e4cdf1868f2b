<?php
/** `[sluice_opt_out]`: the visitor's own "no", and the way back. */

defined( 'ABSPATH' ) || exit;

function sluice_opt_out_hooks(): void {
	add_shortcode( 'sluice_opt_out', 'sluice_opt_out_link' );
}

/** A link that works where the tracker does: js/page.js shows it, and which of the two texts holds. */
function sluice_opt_out_link( $attributes ): string {
	$texts = shortcode_atts(
		array(
			'out' => __( 'Do not record my visits', 'sluice' ),
			'in'  => __( 'My visits are not recorded. Record them again', 'sluice' ),
		),
		$attributes,
		'sluice_opt_out'
	);
	return sprintf(
		'<a href="#" role="button" class="sluice-opt-out" data-sluice-ignore data-out="%1$s" data-in="%2$s" aria-live="polite" hidden>%3$s</a>',
		esc_attr( $texts['out'] ),
		esc_attr( $texts['in'] ),
		esc_html( $texts['out'] )
	);
}
