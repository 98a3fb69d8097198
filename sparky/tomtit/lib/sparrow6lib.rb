# Helpers of a Sparrow task in Ruby, loaded with -r sparrow6lib.
require 'json'

CROMT_GLUE = File.binread(File.join(__dir__, 'vars')).force_encoding('UTF-8').split("\0", -1)[0..-2].each_slice(2).to_h

def root_dir
  CROMT_GLUE['root_dir']
end

def project_root_dir
  CROMT_GLUE['root_dir']
end

def task_dir
  CROMT_GLUE['task_dir']
end

def cache_root_dir
  CROMT_GLUE['cache_root_dir']
end

def test_root_dir
  CROMT_GLUE['cache_root_dir']
end

def cache_dir
  CROMT_GLUE['cache_dir']
end

def stdout_file
  CROMT_GLUE['stdout_file']
end

def os
  CROMT_GLUE['os']
end


def config
  @config ||= JSON.parse(File.read("#{cache_root_dir}/config.json"))
end

def task_variables
  @task_variables ||= JSON.parse(File.read("#{cache_dir}/variables.json")) || {}
end

def task_var(name)
  task_variables[name]
end

def set_stdout(line)
  File.open(stdout_file, 'a') { |f| f.puts line.to_s }
end

def run_task(path, params = {})
  File.open("#{cache_dir}/calls", 'ab') { |f| f.write("runjson\0#{path}\0#{params.to_json}\0") }
end

def ignore_error(_val = nil)
  File.open("#{cache_dir}/calls", 'ab') { |f| f.write("ignore\0") }
end

def ignore_task_error(_val = nil)
  ignore_error
end

def ignore_task_check_error(_val = nil)
  File.open("#{cache_dir}/calls", 'ab') { |f| f.write("soft\0") }
end

def get_state
  return {} unless File.exist?("#{cache_root_dir}/state.json")

  JSON.parse(File.read("#{cache_root_dir}/state.json"))
end

def update_state(state)
  File.write("#{cache_root_dir}/state.json", state.to_json)
end

[task_dir, root_dir].uniq.each do |dir|
  require "#{dir}/common.rb" if File.exist?("#{dir}/common.rb")
end
