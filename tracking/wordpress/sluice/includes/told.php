<?php
/**
 * What the server knows and the tracker is to be told: commands, as data in a block that no policy
 * against inline scripts forbids, because it is none. js/page.js reads it.
 */

defined( 'ABSPATH' ) || exit;

function sluice_told_hooks(): void {
	// Behind what other plugins tell there, and before the footer's scripts (20).
	add_action( 'wp_footer', 'sluice_print_told', 19 );
}

/** Tell the tracker something with this page: `sluice_tell( 'track', 'signup', array( … ) )`. */
function sluice_tell( string $command, ...$arguments ): void {
	sluice_commands( array_merge( array( $command ), $arguments ) );
}

/** The commands of this page; one more, where it is given. */
function sluice_commands( ?array $one_more = null ): array {
	static $commands = array();
	if ( null !== $one_more ) {
		$commands[] = $one_more;
	}
	return $commands;
}

function sluice_print_told(): void {
	if ( ! sluice_is_wanted() ) {
		return;
	}
	do_action( 'sluice_telling' );
	$told = array(
		'commands' => sluice_commands(),
		'consent'  => sluice_settings()['consent'],
	);
	echo sluice_block( 'sluice-told', $told ); // phpcs:ignore WordPress.Security.EscapeOutput -- encoded there.
}

/** A data block; what could end it, or begin another tag, is encoded. */
function sluice_block( string $id, $told ): string {
	$json = wp_json_encode( $told, JSON_HEX_TAG | JSON_HEX_AMP | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES );
	return sprintf( "<script type=\"application/json\" id=\"%s\">%s</script>\n", esc_attr( $id ), false === $json ? '{}' : $json );
}
