<?php
/** Who is signed in: told only where a setting says so, and forgotten when they sign out. */

defined( 'ABSPATH' ) || exit;

const SLUICE_SIGNED_OUT = 'sluice_signed_out';

function sluice_user_hooks(): void {
	add_action( 'sluice_telling', 'sluice_tell_user' );
	add_action( 'wp_logout', 'sluice_note_sign_out' );
}

function sluice_tell_user(): void {
	$identify = sluice_settings()['identify'];
	if ( 'nobody' !== $identify && is_user_logged_in() ) {
		sluice_tell( 'identify', sluice_user_id( get_current_user_id(), $identify, wp_salt( 'auth' ) ) );
	}
}

/** The id itself, or one that tells nobody without this site's salt which user it is. */
function sluice_user_id( int $user_id, string $identify, string $salt ): string {
	return 'hash' === $identify ? hash_hmac( 'sha256', 'sluice:' . $user_id, $salt ) : (string) $user_id;
}

/** The next page may come from a cache that knows nobody: so a cookie says it, which js/signed-out.js takes away. */
function sluice_note_sign_out(): void {
	if ( 'nobody' === sluice_settings()['identify'] || headers_sent() ) {
		return;
	}
	$options = array(
		'expires'  => time() + DAY_IN_SECONDS,
		'path'     => COOKIEPATH ? COOKIEPATH : '/',
		'secure'   => is_ssl(),
		'samesite' => 'Lax',
	);
	setcookie( SLUICE_SIGNED_OUT, '1', $options );
}
