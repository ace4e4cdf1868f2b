<?php
/** Settings → Sluice, by the Settings API: it checks the nonce and who may, and `sluice_sanitize` what is stored. */

defined( 'ABSPATH' ) || exit;

const SLUICE_MAY = 'manage_options';

function sluice_settings_page_hooks(): void {
	add_action( 'admin_menu', 'sluice_add_settings_page' );
	add_action( 'admin_init', 'sluice_register_settings' );
}

function sluice_add_settings_page(): void {
	add_options_page( __( 'Sluice', 'sluice' ), __( 'Sluice', 'sluice' ), SLUICE_MAY, 'sluice', 'sluice_show_settings_page' );
}

function sluice_register_settings(): void {
	$option = array(
		'type'              => 'array',
		'default'           => sluice_defaults(),
		'sanitize_callback' => 'sluice_sanitize_form',
		'show_in_rest'      => false,
	);
	register_setting( 'sluice', 'sluice', $option );
	add_settings_section( 'sluice', '', '__return_empty_string', 'sluice' );
	foreach ( sluice_fields() as $name => $field ) {
		$args = array_merge( $field, array( 'name' => $name ) );
		if ( 'checks' !== $field['kind'] ) {
			$args['label_for'] = 'sluice-' . $name;
		}
		add_settings_field( 'sluice-' . $name, $field['title'], 'sluice_show_field', 'sluice', 'sluice', $args );
	}
}

/** As `sluice_sanitize`; an address that is none is said to be none, and the one before stays. */
function sluice_sanitize_form( $given ): array {
	$kept = sluice_sanitize( $given );
	foreach ( array( 'src', 'endpoint' ) as $name ) {
		if ( is_array( $given ) && ! empty( $given[ $name ] ) && '' === $kept[ $name ] ) {
			/* translators: %s: what was given */
			$message = __( '%s is no address, and was not saved. One begins with https:// or with a /.', 'sluice' );
			add_settings_error( 'sluice', 'sluice-' . $name, sprintf( $message, sanitize_text_field( (string) $given[ $name ] ) ) );
			$kept[ $name ] = sluice_settings()[ $name ];
		}
	}
	return $kept;
}

function sluice_fields(): array {
	return array(
		'src'            => array(
			'title' => __( 'Script address', 'sluice' ),
			'kind'  => 'text',
			'help'  => __( 'Where your stack serves the tracker: https://events.shop.example/js/tracking.js. Empty: nothing is put on the site.', 'sluice' ),
		),
		'site_id'        => array(
			'title' => __( 'Site id', 'sluice' ),
			'kind'  => 'text',
			'help'  => __( 'What events are filed under. Empty: the host name.', 'sluice' ),
		),
		'endpoint'       => array(
			'title' => __( 'Endpoint', 'sluice' ),
			'kind'  => 'text',
			'help'  => __( 'Where events are sent. Empty: /collect on the script’s host.', 'sluice' ),
		),
		'respect_dnt'    => array(
			'title' => __( 'Privacy signals', 'sluice' ),
			'kind'  => 'check',
			'help'  => __( 'With Do Not Track or Global Privacy Control set, record nothing.', 'sluice' ),
		),
		'consent'        => array(
			'title'   => __( 'Consent', 'sluice' ),
			'kind'    => 'choice',
			'choices' => array(
				'none'           => __( 'None is asked for', 'sluice' ),
				'pending'        => __( 'Wait until the page calls sluice("consent", "granted")', 'sluice' ),
				'wp_consent_api' => __( 'Ask the plugin WP Consent API (statistics)', 'sluice' ),
				'tcf'            => __( 'Ask a banner by IAB TCF', 'sluice' ),
				'gcm'            => __( 'Ask Google Consent Mode (analytics_storage)', 'sluice' ),
			),
			'help'    => __( 'What nobody answers is not granted.', 'sluice' ),
		),
		'before_consent' => array(
			'title'   => __( 'Before consent', 'sluice' ),
			'kind'    => 'choice',
			'choices' => array(
				'hold'       => __( 'Store nothing and send nothing', 'sluice' ),
				'cookieless' => __( 'Store nothing, and send events that name no visitor', 'sluice' ),
			),
			'help'    => __( 'Where consent is asked for. What was held goes on consent, and is forgotten on denial.', 'sluice' ),
		),
		'plugins'        => array(
			'title' => __( 'Tracker plugins', 'sluice' ),
			'kind'  => 'text',
			'help'  => __( 'Names with a space between them, as in: vitals errors', 'sluice' ),
		),
		'excluded_roles' => array(
			'title'   => __( 'Roles not recorded', 'sluice' ),
			'kind'    => 'checks',
			'choices' => wp_roles()->get_names(),
			'help'    => __( 'For who is signed in with one of them, the tracker is not loaded.', 'sluice' ),
		),
		'woocommerce'    => array(
			'title' => __( 'WooCommerce', 'sluice' ),
			'kind'  => 'check',
			'help'  => __( 'Tell of products seen, put into the cart and bought.', 'sluice' ),
		),
		'identify'       => array(
			'title'   => __( 'Who is signed in', 'sluice' ),
			'kind'    => 'choice',
			'choices' => array(
				'nobody' => __( 'Is not told', 'sluice' ),
				'hash'   => __( 'Is told as a hash, which this site’s salt is needed for', 'sluice' ),
				'id'     => __( 'Is told as the number of the user', 'sluice' ),
			),
			'help'    => __( 'Both are personal data: say so in your privacy policy.', 'sluice' ),
		),
	);
}

function sluice_show_settings_page(): void {
	if ( ! current_user_can( SLUICE_MAY ) ) {
		return;
	}
	echo '<div class="wrap"><h1>' . esc_html( get_admin_page_title() ) . '</h1><form action="options.php" method="post">';
	settings_fields( 'sluice' );
	do_settings_sections( 'sluice' );
	submit_button();
	echo '</form></div>';
}

function sluice_show_field( array $field ): void {
	$value = sluice_settings()[ $field['name'] ];
	$id    = esc_attr( 'sluice-' . $field['name'] );
	$name  = esc_attr( 'sluice[' . $field['name'] . ']' );
	// phpcs:disable WordPress.Security.EscapeOutput -- $id and $name are escaped above.
	switch ( $field['kind'] ) {
		case 'text':
			printf( '<input type="text" class="regular-text code" id="%s" name="%s" value="%s">', $id, $name, esc_attr( $value ) );
			break;
		case 'check':
			printf( '<input type="checkbox" id="%s" name="%s" value="1" %s>', $id, $name, checked( $value, true, false ) );
			break;
		case 'choice':
			printf( '<select id="%s" name="%s">', $id, $name );
			foreach ( $field['choices'] as $choice => $label ) {
				printf( '<option value="%s" %s>%s</option>', esc_attr( $choice ), selected( $value, $choice, false ), esc_html( $label ) );
			}
			echo '</select>';
			break;
		case 'checks':
			printf( '<fieldset id="%s"><legend class="screen-reader-text">%s</legend>', $id, esc_html( $field['title'] ) );
			foreach ( $field['choices'] as $choice => $label ) {
				$is_checked = checked( in_array( $choice, $value, true ), true, false );
				printf( '<label><input type="checkbox" name="%s[]" value="%s" %s> %s</label><br>', $name, esc_attr( $choice ), $is_checked, esc_html( translate_user_role( $label ) ) );
			}
			echo '</fieldset>';
			break;
	}
	// phpcs:enable
	printf( '<p class="description">%s</p>', esc_html( $field['help'] ) );
}
