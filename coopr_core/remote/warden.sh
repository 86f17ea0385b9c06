# Run a command so that it ends when the connection that asked for it ends.
# $1 is the command; $2 is "root" when it was begun with sudo. Standard input stays open as long as the SSH channel does; the first line on it says that the
# server connected it at all, its end says that the channel was closed or lost. The command itself reads /dev/null, or
# the text of $3 bytes, the last of which are $4, that comes before that line: nothing is begun without all of it.
exec 3<&0 </dev/null
if [ -n "$3" ]; then
  text=$(head -c "$3" <&3)
  case $text in *"$4") ;; *) exit 1 ;; esac
fi
(
  trap "" HUP TERM
  read -r connected <&3 || exit 0
  read -r gone <&3
  for signal in TERM KILL; do
    kill -s $signal -- -$$ || kill -s $signal $$
    [ "$2" != root ] || sudo -n kill -s $signal -- -$$
    sleep 5
  done
) >/dev/null 2>&1 &
warden=$!
exec 3<&-
if [ -n "$3" ]; then
  printf %s "${text%"$4"}" 2>/dev/null | sh -c "$1"
else
  sh -c "$1"
fi
status=$?
exec 2>/dev/null
kill -s KILL $warden
exit $status
