#!/bin/sh
# On a local node there is one user and it may do everything there: sudo runs the command as it is.
while [ $# -gt 0 ]; do
    case $1 in
        --) shift; break ;;
        -V|--version) echo "sudo of a local node"; exit 0 ;;
        -k|-K|-v|--reset-timestamp|--remove-timestamp|--validate) [ $# -gt 1 ] || exit 0; shift ;;
        -u|-g|-p|-h|-r|-t|-C|-T|-U|-D|-R|--user|--group|--prompt|--host|--chdir|--chroot) shift; [ $# -eq 0 ] || shift ;;
        -i|-s|--login|--shell) shift; [ $# -gt 0 ] || exec "${SHELL:-/bin/sh}" ;;
        -*) shift ;;
        [A-Za-z_]*=*) export "$1"; shift ;;
        *) break ;;
    esac
done
[ $# -gt 0 ] || { echo "sudo: no command given" >&2; exit 1; }
exec "$@"
