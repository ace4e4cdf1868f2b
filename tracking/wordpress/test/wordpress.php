<?php
/** What the plugin uses of WordPress, and no more: as the handbook says that it behaves. */

define( 'ABSPATH', __DIR__ . '/' );
define( 'DAY_IN_SECONDS', 86400 );
define( 'COOKIEPATH', '/' );

if ( ! function_exists( 'mb_substr' ) ) {
	/** WordPress has one of its own where PHP was built without it (wp-includes/compat.php). */
	function mb_substr( $text, $start, $length = null, $encoding = null ) {
		return implode( '', array_slice( preg_split( '//u', $text, -1, PREG_SPLIT_NO_EMPTY ), $start, $length ) );
	}
}

/** The site as it is now; a test sets what it needs. */
class Site {
	public static array $options = array();
	public static array $hooks   = array();
	public static array $scripts = array();
	public static array $did     = array();
	public static array $roles   = array();
	public static array $errors  = array();
	public static int $user_id   = 0;
	public static bool $is_admin = false;
	public static bool $is_network       = false;
	public static bool $is_super_admin   = false;
	/** The folder that WordPress lies in. */
	public static string $folder = '';
}

function add_action( $hook, $run, $priority = 10, $args = 1 ) {
	Site::$hooks[ $hook ][ $priority ][] = array( $run, $args );
}
function add_filter( $hook, $run, $priority = 10, $args = 1 ) {
	add_action( $hook, $run, $priority, $args );
}
function apply_filters( $hook, $value, ...$more ) {
	$by_priority = Site::$hooks[ $hook ] ?? array();
	ksort( $by_priority );
	foreach ( $by_priority as $runs ) {
		foreach ( $runs as list( $run, $args ) ) {
			$value = $run( ...array_slice( array( $value, ...$more ), 0, $args ) );
		}
	}
	return $value;
}
function do_action( $hook, ...$args ) {
	Site::$did[ $hook ] = 1 + ( Site::$did[ $hook ] ?? 0 );
	$by_priority        = Site::$hooks[ $hook ] ?? array();
	ksort( $by_priority );
	foreach ( $by_priority as $runs ) {
		foreach ( $runs as list( $run, $count ) ) {
			$run( ...array_slice( $args, 0, $count ) );
		}
	}
}
function did_action( $hook ) {
	return Site::$did[ $hook ] ?? 0;
}

function get_option( $name, $default = false ) {
	return Site::$options[ $name ] ?? $default;
}
function delete_option( $name ) {
	unset( Site::$options[ $name ] );
}
function is_multisite() {
	return Site::$is_network;
}
function is_super_admin() {
	return Site::$is_super_admin;
}
function is_admin() {
	return Site::$is_admin;
}
function is_ssl() {
	return false;
}

function esc_attr( $text ) {
	return htmlspecialchars( (string) $text, ENT_QUOTES, 'UTF-8' );
}
function esc_html( $text ) {
	return esc_attr( $text );
}
function esc_url_raw( $address, $protocols = array( 'http', 'https' ) ) {
	$address = preg_replace( '|[^a-z0-9-~+_.?#=!&;,/:%@$\|*\'()\[\]\\x80-\\xff]|i', '', $address );
	return in_array( strtolower( (string) parse_url( $address, PHP_URL_SCHEME ) ), $protocols, true ) ? $address : '';
}
function sanitize_text_field( $text ) {
	return trim( preg_replace( array( '/%[a-f0-9]{2}/i', '/[\r\n\t ]+/' ), array( '', ' ' ), strip_tags( $text ) ) );
}
function sanitize_key( $key ) {
	return preg_replace( '/[^a-z0-9_\-]/', '', strtolower( $key ) );
}
function wp_strip_all_tags( $text ) {
	return trim( strip_tags( $text ) );
}
function wp_json_encode( $value, $options = 0 ) {
	return json_encode( $value, $options );
}
function __( $text ) {
	return $text;
}

function wp_get_current_user() {
	return (object) array( 'roles' => Site::$roles );
}
function is_user_logged_in() {
	return Site::$user_id > 0;
}
function get_current_user_id() {
	return Site::$user_id;
}
function wp_salt( $scheme ) {
	return "salt of $scheme";
}
function plugins_url( $path, $file ) {
	return '/wp-content/plugins/' . basename( dirname( $file ) ) . '/' . $path;
}
function wp_enqueue_script( $handle, $src, $deps, $version, $in_footer ) {
	Site::$scripts[ $handle ] = array( $version ? "$src?ver=$version" : $src, $in_footer );
}
/** The tags of one place, as WP_Scripts prints them. */
function print_scripts( bool $in_footer ): string {
	$html = '';
	foreach ( Site::$scripts as $handle => list( $src, $where ) ) {
		if ( $where === $in_footer ) {
			$src   = apply_filters( 'script_loader_src', '/' === $src[0] ? Site::$folder . $src : $src, $handle );
			$tag   = sprintf( "<script src=\"%s\" id=\"%s-js\"></script>\n", esc_attr( $src ), $handle );
			$html .= apply_filters( 'script_loader_tag', $tag, $handle, $src );
		}
	}
	return $html;
}

function add_shortcode( $name, $run ) {
	Site::$hooks[ "shortcode $name" ] = $run;
}
function shortcode_atts( $defaults, $given ) {
	return array_intersect_key( array_merge( $defaults, (array) $given ), $defaults );
}

// The settings page.
function wp_roles() {
	return new class() {
		public function get_names() {
			return array( 'administrator' => 'Administrator', 'editor' => 'Editor', 'customer' => 'Customer' );
		}
	};
}
function current_user_can( $what ) {
	return 'manage_options' === $what && in_array( 'administrator', Site::$roles, true );
}
function add_options_page( ...$args ) {
	Site::$hooks['options page'] = $args;
}
function register_setting( ...$args ) {
	Site::$hooks['setting'] = $args;
}
function add_settings_section( ...$args ) {}
function add_settings_field( $id, $title, $show, $page, $section, $args ) {
	Site::$hooks['fields'][] = array( $show, $args );
}
function add_settings_error( $setting, $code, $message ) {
	Site::$errors[] = $message;
}
function settings_fields( $group ) {
	echo '<input type="hidden" name="_wpnonce" value="nonce of ' . esc_attr( $group ) . '">';
}
function do_settings_sections( $page ) {
	foreach ( Site::$hooks['fields'] as list( $show, $args ) ) {
		$show( $args );
	}
}
function submit_button() {
	echo '<button>Save</button>';
}
function get_admin_page_title() {
	return 'Sluice';
}
function checked( $one, $other, $echo ) {
	return (string) $one === (string) $other ? "checked='checked'" : '';
}
function selected( $one, $other, $echo ) {
	return (string) $one === (string) $other ? "selected='selected'" : '';
}
function translate_user_role( $name ) {
	return $name;
}
