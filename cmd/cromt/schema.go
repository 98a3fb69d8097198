package main

import "github.com/cromt/cromt/flow"

type schemaCmd struct{}

// Help implements kong.HelpProvider.
func (schemaCmd) Help() string {
	return `For an editor with the YAML language server:

    cromt schema > jobs.schema.json

and in jobs.yaml, as its first line:

    # yaml-language-server: $schema=jobs.schema.json`
}

// Run is the subcommand.
func (schemaCmd) Run(p *program) error {
	_, err := p.stdout.Write(flow.Schema())
	return err
}
