package flow

import (
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// cronFields are what a crontab has.
const cronFields = cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow

// NextTime returns the first time after t at which a crontab of five fields
// comes, in UTC: a file is read by hosts and servers of different zones. Zero
// when it is no crontab, or never comes.
func NextTime(crontab string, t time.Time) time.Time {
	if strings.Contains(crontab, "=") { // a time zone, which Parse refuses and the library can panic on
		return time.Time{}
	}
	schedule, err := cron.NewParser(cronFields).Parse(crontab)
	if err != nil {
		return time.Time{}
	}
	return schedule.Next(t.UTC())
}
