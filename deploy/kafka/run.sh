#!/bin/bash
# Apache Kafka from its Maven artifacts.
#   run.sh fetch                        put the class path under $CORDON_KAFKA (default: build/kafka)
#   run.sh broker SETTINGS CLUSTER_ID   format the (one) log directory where that was not done yet, and become the broker
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=${CORDON_KAFKA:-$here/../../build/kafka}
java=(java -Xms64m "-Xmx${KAFKA_HEAP:-384m}" -XX:+UseSerialGC "-Dlog4j.configuration=file:$here/log4j.properties" -cp "$home/libs/*")

case "${1:-}" in
fetch)
  stamp=$home/$(sha256sum "$here/pom.xml" | cut -c1-16)
  [ -e "$stamp" ] && exit 0
  rm -rf "$home"
  mkdir -p "$home"
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$(cd "$home" && pwd)/libs"
  touch "$stamp"
  ;;
broker)
  data=$(sed -n 's/^log\.dirs=//p' "$2")
  [ -e "$data/meta.properties" ] || "${java[@]}" -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format -t "$3" -c "$2" > /dev/null
  exec "${java[@]}" kafka.Kafka "$2"
  ;;
*)
  sed -n '2,4p' "$0" >&2
  exit 2
  ;;
esac
