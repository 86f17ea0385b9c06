# Run an action ("$@") so that what it leaves in the background keeps somewhere to write to.
# The action writes to a pipe, which tee passes on to whoever asked for the action and, besides, appends to a file. When
# the action has ended and nobody holds the pipe any more, the file goes. Otherwise it stays, and tee goes on with it
# alone; the last line that is said names file and processes. $coopr_pipe and $coopr_kept are their paths.
for coopr_tool in mkfifo tee cat; do
  command -v $coopr_tool >/dev/null || exec "$@"
done
{
  [ -d "${coopr_kept%/*}" ] || mkdir -m 700 -p "${coopr_kept%/*}"
  [ ! -e "$coopr_kept" ] || coopr_kept=${coopr_kept%.log}-$$.log
  [ ! -e "$coopr_pipe" ] || rm -f "$coopr_pipe"
  mkfifo -m 600 "$coopr_pipe" && true >"$coopr_kept"
} 2>/dev/null || exec "$@"
(
  trap "" HUP PIPE
  exec tee -a "$coopr_kept" <"$coopr_pipe" 2>/dev/null
) | cat &
coopr_relay=$!
"$@" >"$coopr_pipe" 2>&1
coopr_status=$?

# What is still on its way then needs a moment; after a second, whoever holds the pipe is looked for.
coopr_late=
trap coopr_late=1 USR1
(
  coopr_sleep=
  trap '[ -z "$coopr_sleep" ] || kill $coopr_sleep; exit' TERM
  while kill -s 0 $$; do
    sleep 1 &
    coopr_sleep=$!
    wait $coopr_sleep
    kill -s USR1 $$
  done
) >/dev/null 2>&1 &
coopr_timer=$!

coopr_holders() { # the processes that hold the pipe open for writing, as far as they may be seen
  if [ -d /proc/self/fd ]; then
    for coopr_fd in /proc/[0-9]*/fd/*; do
      [ "$coopr_fd" -ef "$coopr_pipe" ] || continue
      coopr_pid=${coopr_fd#/proc/}
      coopr_pid=${coopr_pid%%/*}
      [ "/proc/$coopr_pid/fd/0" -ef "$coopr_pipe" ] || echo "$coopr_pid"
    done
  else
    { fuser "$coopr_pipe" || lsof -t -- "$coopr_pipe"; } | tr -s ' ' '\n'
  fi 2>/dev/null | sort -un | while read -r coopr_pid; do
    [ -n "$coopr_pid" ] || continue
    coopr_name=$(ps -o comm= -p "$coopr_pid" 2>/dev/null)
    [ "${coopr_name##*/}" = tee ] || echo "$coopr_pid (${coopr_name:-?})"
  done
}

coopr_looks=0
coopr_held=
while wait $coopr_relay; [ -n "$coopr_late" ]; do
  coopr_late=
  coopr_looks=$((coopr_looks + 1))
  coopr_held=$(coopr_holders)
  [ -z "$coopr_held" ] || break
  if [ $coopr_looks = 5 ]; then # nobody we may see; a slow reader of a long output would be done by now
    coopr_held=unknown
    break
  fi
done
kill $coopr_timer 2>/dev/null
if [ -z "$coopr_held" ]; then
  rm -f "$coopr_pipe" "$coopr_kept"
  exit $coopr_status
fi
kill $coopr_relay 2>/dev/null
rm -f "$coopr_pipe"
coopr_held=$(echo "$coopr_held" | paste -s -d , - | sed 's/,/, /g')
echo "coopr: left running, with its output open: process $coopr_held; from now on its output goes to $coopr_kept" \
  "on this node"
exit $coopr_status
