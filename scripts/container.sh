#!/bin/sh
# Entry of the image: "app" serves the pages, "worker QUEUE" works one queue, anything else is `palate`.
set -eu
case "${1:-app}" in
  app) exec python -m app.main ;;
  worker) shift; exec palate worker "$@" ;;
  *) exec palate "$@" ;;
esac
