locals {
  # Widgets without a position are laid out in rows of 24 columns, in this order.
  dashboard_widgets = concat(
    [{
      type   = "text"
      width  = 24
      height = 2
      properties = {
        markdown = "# ${var.name} in ${local.region}\nSizes are an upper bound: layers that images share are counted in each of them and stored once."
      }
    }],

    [{ type = "text", width = 24, height = 1, properties = { markdown = "## What did it do last night?" } }],
    [for widget in [local.metric_widgets.removed] : widget if var.metrics_enabled],
    [local.query_widgets.runs],
    [local.query_widgets.removable],

    [{ type = "text", width = 24, height = 1, properties = { markdown = "## How much is there to gain?" } }],
    [for widget in [local.metric_widgets.removable] : widget if var.metrics_enabled],
    [local.query_widgets.savings],

    [{ type = "text", width = 24, height = 1, properties = { markdown = "## Is it healthy?" } }],
    [
      for arns in [concat(
        aws_cloudwatch_metric_alarm.function_failed[*].arn,
        aws_cloudwatch_metric_alarm.deletions_failed[*].arn,
        aws_cloudwatch_metric_alarm.none_visited[*].arn,
        aws_cloudwatch_metric_alarm.silent[*].arn,
      )] : { type = "alarm", width = 24, height = 2, properties = { title = "Alarms", alarms = arns } } if var.alarms_enabled
    ],
    [local.metric_widgets.function],
    [for widget in [local.metric_widgets.problems] : widget if var.metrics_enabled],
    [local.query_widgets.failures],
    [local.query_widgets.broken-references],
    [local.query_widgets.coverage],
  )

  query_widgets = {
    for file, title in local.queries : file => {
      type   = "log"
      width  = 24
      height = 6
      properties = {
        title  = title
        region = local.region
        view   = "table"
        query  = "SOURCE '${aws_cloudwatch_log_group.this.name}' | ${local.query_commands[file]}"
      }
    }
  }

  metric_widgets = {
    for key, widget in {
      removed = {
        title   = "Removed, latest run"
        view    = "singleValue"
        metrics = [for name in ["ImagesRemoved", "BytesRemoved", "ImagesKept"] : [local.metric_namespace, name]]
      }
      removable = {
        title   = "Removable"
        view    = "timeSeries"
        metrics = [for name in ["BytesRemovable", "BytesRemoved"] : [local.metric_namespace, name]]
      }
      problems = {
        title   = "Problems"
        view    = "timeSeries"
        metrics = [for name in ["DeletionsFailed", "ImagesLeft", "RepositoriesUnvisited", "BrokenReferences"] : [local.metric_namespace, name]]
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

# Dashboards belong to no region, so the region is part of the name.
resource "aws_cloudwatch_dashboard" "this" {
  count = var.dashboard_enabled ? 1 : 0

  dashboard_name = "${var.name}-${local.region}"
  dashboard_body = jsonencode({ widgets = local.dashboard_widgets })
}
