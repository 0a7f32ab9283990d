"""The Gradio 6 theme: every colour points at a token, so that tokens.css alone decides."""

import gradio as gr

COLOURS = {
    "body_background_fill": "var(--bg)",
    "body_text_color": "var(--text)",
    "body_text_color_subdued": "var(--muted)",
    "background_fill_primary": "var(--panel)",
    "background_fill_secondary": "var(--bg)",
    "panel_background_fill": "var(--panel)",
    "block_background_fill": "transparent",
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_label_background_fill": "transparent",
    "block_label_border_width": "0px",
    "block_title_text_color": "var(--text)",
    "block_info_text_color": "var(--muted)",
    "border_color_primary": "var(--line)",
    "border_color_accent": "var(--accent)",
    "color_accent_soft": "var(--selected)",
    "link_text_color": "var(--accent)",
    "input_background_fill": "var(--panel)",
    "input_border_color": "var(--line-control)",
    "input_border_color_focus": "var(--accent)",
    "input_border_width": "1px",
    "input_shadow": "none",
    "input_shadow_focus": "var(--focus)",
    "button_primary_background_fill": "var(--accent)",
    "button_primary_background_fill_hover": "var(--accent-hover)",
    "button_primary_text_color": "var(--on-accent)",
    "button_secondary_background_fill": "transparent",
    "button_secondary_border_color": "var(--line-control)",
    "button_secondary_text_color": "var(--text)",
    "checkbox_background_color_selected": "var(--accent)",
    "table_border_color": "var(--line)",
    "table_odd_background_fill": "transparent",
    "table_even_background_fill": "transparent",
    "slider_color": "var(--text)",
    "loader_color": "var(--muted)",
    "error_background_fill": "var(--bad-bg)",
    "error_text_color": "var(--bad)",
}

SIZES = {
    "color_accent": "var(--accent)",
    "body_text_size": "13px",
    "block_title_text_size": "12px",
    "block_title_text_weight": "600",
    "block_radius": "0px",
    "block_padding": "0px",
    "container_radius": "0px",
    "layout_gap": "0px",
    "input_radius": "5px",
    "input_padding": "4px 8px",
    "button_border_width": "1px",
    "button_transform_hover": "none",
    "button_small_radius": "5px",
    "button_medium_radius": "5px",
    "button_large_radius": "5px",
    "button_large_padding": "0 12px",
    "button_large_text_size": "13px",
    "button_medium_text_size": "13px",
}


def theme() -> gr.themes.Base:
    """A bare theme whose light and dark values are the same references."""
    both = {name + suffix: value for name, value in COLOURS.items() for suffix in ("", "_dark")}
    base = gr.themes.Base(
        font=["Inter Palate", "system-ui", "sans-serif"],
        font_mono=["Plex Mono Palate", "monospace"],
    )
    return base.set(**both, **SIZES)
