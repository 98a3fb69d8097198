if [ "${BROKEN:-}" = yes ]; then
  echo "main.c:3:4: error: this one fails"
  exit 3
fi
echo built
