"""The pages. One file each: TITLE, PATH, build(); ORDER and ICON if it stands on the rail."""
