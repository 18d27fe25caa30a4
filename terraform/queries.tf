locals {
  # File name in queries/ and title in the Logs Insights console.
  queries = {
    runs              = "Runs"
    removable         = "What would be removed and why"
    savings           = "Biggest savings by repository"
    kept              = "Why is this image kept"
    failures          = "Failures"
    broken-references = "Broken references"
    coverage          = "Coverage and guards"
  }

  query_strings = { for file, title in local.queries : file => trimspace(file("${path.module}/queries/${file}.query")) }

  # The queries without their comments: a dashboard puts the log group before the first command.
  query_commands = {
    for file, query in local.query_strings : file => join("\n", [for line in split("\n", query) : line if !startswith(line, "#")])
  }
}

# The console shows the part of the name before the slash as a folder.
resource "aws_cloudwatch_query_definition" "this" {
  for_each = var.saved_queries_enabled ? local.queries : {}

  name            = "${var.name}/${each.value}"
  log_group_names = [local.log_group_name]
  query_string    = local.query_strings[each.key]
}
