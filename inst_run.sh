set -o emacs
eval "$(</tmp/drv/inst.bash)"
printf "%s\n" "${__T[@]}"