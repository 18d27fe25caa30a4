locals {
  # The dashboard opens with a time range that contains at least two runs: the longest gap that run_period may
  # have is half a week. It is unknown if the schedule names days or months and has no silence alarm.
  dashboard_start = local.run_period == null ? "-P5W" : "-P7D"

  # Several runs in one period each report these again, so their sum would be meaningless.
  gauges = ["ImagesKept", "BytesRemovable", "ImagesLeft", "RepositoriesUnvisited", "BrokenReferences", "NearMisses"]

  stat = { for name in keys(local.metrics) : name => { stat = contains(local.gauges, name) ? "Maximum" : "Sum" } }

  # CloudWatch lays out widgets without a position in this order, in rows of 24 columns. A widget that
  # this instance does not need is null, and is left out.
  dashboard_widgets = [
    for widget in [
      {
        type   = "text"
        width  = 24
        height = 2
        properties = {
          markdown = "# ${var.name} in ${local.region}\nSizes are upper bounds: a layer that several images share is stored once but counted for each image."
        }
      },

      { type = "text", width = 24, height = 1, properties = { markdown = "## What did the last runs do?" } },
      var.metrics_enabled ? local.metric_widgets.removed : null,
      local.query_widgets.runs,
      local.query_widgets.removable,

      { type = "text", width = 24, height = 1, properties = { markdown = "## How much storage can be freed?" } },
      var.metrics_enabled ? local.metric_widgets.removable : null,
      local.query_widgets.savings,

      { type = "text", width = 24, height = 1, properties = { markdown = "## Is the cleaner healthy?" } },
      var.alarms_enabled ? {
        type   = "alarm"
        width  = 24
        height = 2
        properties = {
          title = "Alarms"
          alarms = [
            for name in concat(
              aws_cloudwatch_metric_alarm.function_failed[*].alarm_name,
              aws_cloudwatch_metric_alarm.steps_failed[*].alarm_name,
              aws_cloudwatch_metric_alarm.deletions_failed[*].alarm_name,
              aws_cloudwatch_metric_alarm.none_visited[*].alarm_name,
              aws_cloudwatch_metric_alarm.slow_scan[*].alarm_name,
              aws_cloudwatch_composite_alarm.silent[*].alarm_name,
            ) : "${local.alarm_arn_prefix}${name}"
          ]
        }
      } : null,
      local.metric_widgets.function,
      var.metrics_enabled ? local.metric_widgets.problems : null,
      local.query_widgets.failures,
      local.query_widgets.broken-references,
      local.query_widgets.coverage,
    ] : widget if widget != null
  ]

  query_widgets = {
    for file, title in local.queries : file => {
      type   = "log"
      width  = 24
      height = 6
      properties = {
        title  = title
        region = local.region
        view   = "table"
        query  = "SOURCE '${local.log_group_name}' | ${local.query_commands[file]}"
      }
    }
  }

  metric_widgets = {
    for key, widget in {
      removed = {
        title   = "Removed, latest run"
        view    = "singleValue"
        metrics = [for name in ["ImagesRemoved", "BytesRemoved", "ImagesKept"] : [local.metric_namespace, name, local.stat[name]]]
      }
      removable = {
        title   = "Removable"
        view    = "timeSeries"
        metrics = [for name in ["BytesRemovable", "BytesRemoved"] : [local.metric_namespace, name, local.stat[name]]]
      }
      problems = {
        title   = "Problems"
        view    = "timeSeries"
        metrics = [for name in ["DeletionsFailed", "ImagesLeft", "RepositoriesUnvisited", "BrokenReferences", "NearMisses"] : [local.metric_namespace, name, local.stat[name]]]
      }
      function = {
        title   = "Runs"
        view    = "timeSeries"
        metrics = [for name in ["Invocations", "Errors"] : ["AWS/Lambda", name, "FunctionName", aws_lambda_function.this.function_name]]
      }
      } : key => {
      type   = "metric"
      width  = key == "removed" || key == "removable" ? 24 : 12
      height = key == "removed" ? 3 : 6
      properties = {
        title   = widget.title
        region  = local.region
        view    = widget.view
        metrics = widget.metrics
        stat    = "Sum"
        period  = min(coalesce(local.run_period, 86400), 86400)
      }
    }
  }
}

# Dashboards are global. The region in the name keeps instances in different regions apart.
resource "aws_cloudwatch_dashboard" "this" {
  count = var.dashboard_enabled ? 1 : 0

  dashboard_name = "${var.name}-${local.region}"
  dashboard_body = jsonencode({
    start = local.dashboard_start
    # Without "inherit", CloudWatch replaces the period of the widgets by one that suits the time range.
    periodOverride = "inherit"
    widgets        = local.dashboard_widgets
  })

  # The postcondition of the role of the function reports a changed region.
  lifecycle {
    ignore_changes       = [dashboard_name]
    replace_triggered_by = [terraform_data.name]
  }
}
