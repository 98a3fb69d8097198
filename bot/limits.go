package bot

import "time"

// The limits of webhooks, each with its reason.
const (
	// MaxWebhook is the size of a delivery's body, in bytes: GitHub sends none
	// above 25 MB.
	MaxWebhook = 25 << 20
	// smallWebhook is up to what size bodies are read at once, however many
	// there are; of larger ones largeWebhooks at a time, so that they take at
	// most 100 MiB.
	smallWebhook  = 256 << 10
	largeWebhooks = 4
	// webhookTime for a delivery's body to arrive: GitHub gives up after 10 s.
	webhookTime = 10 * time.Second
	// acceptTime for the database to take a delivery.
	acceptTime = 5 * time.Second
	// maxGUID is the length of X-GitHub-Delivery, which has 36 characters.
	maxGUID = 64
)
