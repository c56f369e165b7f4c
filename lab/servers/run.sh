#!/usr/bin/env bash
# Runs the analyst's whole job on Keycloak and on Spring Authorization Server: pinned
# versions from Maven Central, in a folder that is gone afterwards. It needs Maven and a
# JDK of 21 or later, in JAVA_HOME or where Debian has them, and takes minutes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
keycloak=26.7.3

for JAVA_HOME in "${JAVA_HOME:-}" /usr/lib/jvm/*; do
  version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$JAVA_HOME/release" 2>/dev/null || true)
  if [ "${version:-0}" -ge 21 ] && [ -x "$JAVA_HOME/bin/javac" ]; then break; fi
  version=
done
[ -n "$version" ] || { echo "no JDK of 21 or later: set JAVA_HOME" >&2; exit 1; }
export JAVA_HOME

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mvn() { env -u JAVA_HOME mvn -q -B -Dmaven.repo.local="$dir/repository" "$@"; }

mvn dependency:copy -Dartifact="org.keycloak:keycloak-quarkus-dist:$keycloak:tar.gz" -DoutputDirectory="$dir"
rm -rf "$dir/repository"
tar -xzf "$dir/keycloak-quarkus-dist-$keycloak.tar.gz" -C "$dir"
rm "$dir/keycloak-quarkus-dist-$keycloak.tar.gz"
export KEYCLOAK_HOME="$dir/keycloak-$keycloak"
mkdir -p "$KEYCLOAK_HOME/data/import"
cp "$here/realm.json" "$KEYCLOAK_HOME/data/import/"
"$KEYCLOAK_HOME/bin/kc.sh" build --db=dev-mem >/dev/null

mkdir "$dir/spring"
mvn -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$dir/spring/lib"
"$JAVA_HOME/bin/javac" -proc:none -cp "$dir/spring/lib/*" -d "$dir/spring/classes" "$here/Server.java"
cp "$here/spring.yaml" "$dir/spring/"
export SPRING_HOME="$dir/spring"

cd "$here/../.."
"${GO:-go}" test -count=1 -v ./cmd/analyst -run 'TestKeycloak|TestSpring' -timeout 15m
