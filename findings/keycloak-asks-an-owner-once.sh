#!/usr/bin/env bash
# Keycloak 26.7.3 (Maven Central), a JDK of 21 or later in JAVA_HOME, Python.
#
# Guess: a client that asks for a permission on somebody's resource with submit_request=true
# has the owner asked, is answered request_submitted, and may ask again until the owner has
# decided (Authorization Services Guide, "Submitting permission requests").
# Seen: permission=RESOURCE#SCOPE asks nobody, whatever submit_request says. With a ticket
# of the API's the owner is asked; but where the one who asks is a client's own account, the
# same request a second time is answered 500, by a constraint of the database.
set -euo pipefail
dir=$(mktemp -d)
trap 'kill %1 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
env -u JAVA_HOME mvn -q -B -Dmaven.repo.local="$dir/repository" dependency:copy -Dartifact=org.keycloak:keycloak-quarkus-dist:26.7.3:tar.gz -DoutputDirectory="$dir"
tar -xzf "$dir"/keycloak-quarkus-dist-26.7.3.tar.gz -C "$dir"
home="$dir/keycloak-26.7.3"
mkdir -p "$home/data/import"
cat >"$home/data/import/realm.json" <<'JSON'
{"realm": "r", "enabled": true, "sslRequired": "none",
 "users": [{"username": "ada", "enabled": true}],
 "clients": [
  {"clientId": "agent", "secret": "agent", "serviceAccountsEnabled": true, "standardFlowEnabled": false},
  {"clientId": "api", "secret": "api", "serviceAccountsEnabled": true, "standardFlowEnabled": false, "authorizationServicesEnabled": true,
   "authorizationSettings": {"scopes": [{"name": "read"}],
    "resources": [{"_id": "doc-1", "name": "doc", "ownerManagedAccess": true, "owner": {"name": "ada"}, "scopes": [{"name": "read"}]}]}}]}
JSON
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
JAVA_OPTS="-Xmx512m -XX:+UseSerialGC" "$home/bin/kc.sh" start-dev --db=dev-mem --http-host=127.0.0.1 --http-port="$port" --import-realm >"$dir/log" 2>&1 &
python3 - "http://127.0.0.1:$port/realms/r" <<'PY'
import base64, json, sys, time, urllib.error, urllib.parse, urllib.request
realm = sys.argv[1]
def send(path, body, head):
    try:
        with urllib.request.urlopen(urllib.request.Request(realm + path, body, head), timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)
def token(client, **form):
    basic = base64.b64encode(f"{client}:{client}".encode()).decode()
    return send("/protocol/openid-connect/token", urllib.parse.urlencode(form).encode(), {"Authorization": "Basic " + basic})
for _ in range(400):
    try:
        urllib.request.urlopen(realm, timeout=5)
        break
    except OSError:
        time.sleep(1)
api = token("api", grant_type="client_credentials")[1]["access_token"]
ticket = send("/authz/protection/permission", json.dumps([{"resource_id": "doc-1", "resource_scopes": ["read"]}]).encode(),
              {"Authorization": "Bearer " + api, "Content-Type": "application/json"})[1]["ticket"]
uma = {"grant_type": "urn:ietf:params:oauth:grant-type:uma-ticket", "submit_request": "true"}
seen = [token("agent", audience="api", permission="doc-1#read", **uma), token("agent", ticket=ticket, **uma), token("agent", ticket=ticket, **uma)]
seen = [(status, body.get("error_description")) for status, body in seen]
print("by permission, by ticket, by ticket again:", seen)
assert [s for s, _ in seen] == [403, 403, 500] and seen[0][1] == "not_authorized" and seen[1][1] == "request_submitted", "it is another thing now"
print("as seen before: an owner is asked by ticket alone, and once")
PY
