package store_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/cromt/cromt/bot/store"
)

// child is a replica that takes a duty, and all work that there is, and tells of
// it; then it is at it until it is killed.
func child(address string) {
	ctx := context.Background()
	s, err := store.Open(ctx, address, quick())
	if err == nil {
		_, err = s.TakeDuty(ctx, "sweep", 0)
	}
	if err == nil {
		_, err = s.Start(ctx, store.Workers{
			Deliver: func(context.Context, int64) error {
				fmt.Println("delivery")
				select {}
			},
			Work: func(ctx context.Context, run string) (time.Duration, error) {
				if _, err := s.Claim(ctx, run); err != nil {
					return 0, err
				}
				fmt.Println("run")
				select {}
			},
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	select {}
}
