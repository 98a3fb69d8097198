package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cromt/cromt/bot/config"
	"github.com/cromt/cromt/bot/members"
)

type tokenCmd struct {
	Config   string        `default:"bot.yaml" placeholder:"FILE" help:"The configuration of the App."`
	Pool     string        `required:"" placeholder:"NAME" help:"Pool that the token is for."`
	TTL      time.Duration `name:"ttl" default:"1h" help:"How long a one-time token can be used; at most 720h."`
	Reusable bool          `help:"A token for hosts that come and go by themselves, and the line of the configuration that lets them in."`
}

// Help implements kong.HelpProvider.
func (tokenCmd) Help() string {
	return `Prints a token with which a host joins a pool of the App: cromt agent --register URL --pool NAME
--join-token-file FILE. It can be used once, by one host, which has a credential of its own from
then on. It is signed with the key of join_key_file: the App need not run, nor be told.

With --reusable it can be used again and again, until its sum is taken out of the configuration:
for a Deployment or an instance group, whose hosts nobody hands a token.`
}

// Run is the subcommand.
func (c *tokenCmd) Run(_ context.Context, p *program) error {
	if c.Reusable {
		token, sum := members.NewReusable()
		fmt.Fprintln(p.stdout, token)
		fmt.Fprintf(p.stderr, "cromt: let it in with join_token_sha256: [%s] in pool %s of the configuration\n", sum, c.Pool)
		return nil
	}
	if c.TTL <= 0 || c.TTL > members.MaxTTL {
		return usage(fmt.Errorf("--ttl %v: it must be above 0 and at most %v", c.TTL, members.MaxTTL))
	}
	cfg, err := config.Load(c.Config, p.getenv)
	if err != nil {
		return usage(err)
	}
	for _, pool := range cfg.Pools {
		if pool.Name != c.Pool {
			continue
		}
		if !pool.JoinKey.IsSet() {
			return usage(fmt.Errorf("pool %s has no join_key_file: write a key to a file, as with openssl rand -hex 32, and name it there", c.Pool))
		}
		token, err := members.NewToken([]byte(pool.JoinKey.Reveal()), c.Pool, time.Now().Add(c.TTL))
		if err != nil {
			return err
		}
		fmt.Fprintln(p.stdout, token)
		return nil
	}
	return usage(errors.New("pool " + c.Pool + " is not in the configuration"))
}
