#!/bin/bash
# npm test: set-up, lint, types, imports, unit tests with the coverage gate, the fast lab scenarios. The last line counts: one
# for each static check, one for each assertion of a unit test, one for each check of a scenario (a scenario stops at its first
# failed check). --no-lab leaves the lab out.
set -u
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
passed=0 failed=0
totals=$(mktemp)
finish() {
  local p f
  while read -r p f; do passed=$((passed + p)) failed=$((failed + f)); done < "$totals"
  rm -f "$totals"
  echo
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ] && [ "$passed" -gt 0 ] || exit 1
}
trap 'echo "1 failed: interrupted"; rm -f "$totals"; exit 130' INT TERM
# one NAME COMMAND...: a check that counts as one.
one() {
  local name=$1
  shift
  echo "== $name"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "== $name failed"; fi
}

one set-up .ci/setup.sh --tests
[ "$failed" = 0 ] || { finish; exit 1; }
one format+lint node_modules/.bin/biome check --reporter=summary .
one imports node .ci/imports.mjs

# Each patch must fit the source: a mutant that cannot be made catches nothing.
mutants_fit() {
  local p
  for p in test/lab/mutants/*.patch; do patch --dry-run -f -s -p1 -F 0 < "$p" || { echo "$p does not fit"; return 1; }; done
}
one mutants mutants_fit

vagrantfile() (cd vagrant && vagrant validate > /dev/null)
one vagrant vagrantfile

echo '== unit tests'
rows=$(wc -l < "$totals")
node .ci/unit.mjs --totals "$totals"
[ "$(wc -l < "$totals")" -gt "$rows" ] || failed=$((failed + 1))

if [ "${1:-}" != --no-lab ]; then
  echo '== lab'
  rm -f test/lab/out/totals
  LAB_READY=1 bash test/lab/lab.sh --fast
  if [ -f test/lab/out/totals ]; then cat test/lab/out/totals >> "$totals"; else failed=$((failed + 1)); fi
fi
finish
