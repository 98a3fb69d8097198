package store_test

import (
	"fmt"
	"os"
)

func child(role string) {
	fmt.Fprintln(os.Stderr, "unknown role", role)
	os.Exit(2)
}
