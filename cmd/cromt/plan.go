package main

import "context"

type planCmd struct {
	confFlag
	Projects []string `arg:"" optional:"" name:"project" help:"Projects to start. Default: those that no other project names."`
}

// Run is the subcommand.
func (c *planCmd) Run(ctx context.Context, p *program) error {
	file, err := c.open(p)
	if err != nil {
		return err
	}
	plan, err := planOf(ctx, file, c.Projects)
	if err != nil {
		return err
	}
	return plan.WriteText(p.stdout)
}
