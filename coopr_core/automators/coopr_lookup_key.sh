#!/bin/sh
# coopr_lookup_key PATH: print a value of this task's JSON, such as config/cluster/nats/port.
# A text is printed as it is; true, false, null and numbers as in JSON; a list or a map as JSON. An element of a list is
# found by its position, from 0. Ends with 1 when there is no such value, with 2 when it was not called as it should be.
if [ $# -ne 1 ] || [ -z "$1" ]; then
  echo "usage: coopr_lookup_key PATH    (for example config/cluster/nats/port)" >&2
  exit 2
fi
if [ -z "${COOPR_TASK_FILE:-}" ]; then
  echo "coopr_lookup_key: COOPR_TASK_FILE is not set: this is not a task of Coopr" >&2
  exit 2
fi
keys=${COOPR_TASK_FILE%.json}.keys
if [ ! -r "$keys" ]; then
  echo "coopr_lookup_key: cannot read $keys" >&2
  exit 2
fi
COOPR_LOOKUP_PATH=$1 LC_ALL=C awk '
BEGIN {
  path = ENVIRON["COOPR_LOOKUP_PATH"]
  sub(/^\/+/, "", path)
  sub(/\/+$/, "", path)
  gsub(/%/, "%25", path)
  gsub(/\n/, "%0A", path)
  gsub(/\t/, "%09", path)
  path = path "\t"
}
index($0, path) == 1 {
  value = substr($0, length(path) + 1)
  gsub(/%0A/, "\n", value)
  gsub(/%09/, "\t", value)
  gsub(/%25/, "%", value)
  print value
  found = 1
  exit
}
END { exit !found }
' < "$keys"
