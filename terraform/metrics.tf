locals {
  # The name keeps instances in the same region apart. Metrics are regional.
  metric_namespace = "ECRCleaner/${var.name}"

  # Each metric is a numeric field in the summary line of a run.
  metrics = {
    ImagesKept            = { field = "kept_total", unit = "Count" }
    ImagesRemovable       = { field = "removable", unit = "Count" }
    BytesRemovable        = { field = "removable_bytes", unit = "Bytes" }
    ImagesRemoved         = { field = "removed", unit = "Count" }
    BytesRemoved          = { field = "removed_bytes", unit = "Bytes" }
    DeletionsFailed       = { field = "failed", unit = "Count" }
    ImagesLeft            = { field = "left", unit = "Count" }
    RepositoriesUnvisited = { field = "repositories_unvisited", unit = "Count" }
    BrokenReferences      = { field = "broken_references", unit = "Count" }
    NearMisses            = { field = "near_misses", unit = "Count" }
    RunDuration           = { field = "duration_seconds", unit = "Seconds" }
  }
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = var.metrics_enabled ? local.metrics : {}

  name           = each.key
  log_group_name = local.log_group_name
  # CloudWatch can only use the value of a field that the pattern names.
  pattern = "{ ($.event = \"Run finished\") && ($.${each.value.field} >= 0) }"

  metric_transformation {
    name      = each.key
    namespace = local.metric_namespace
    value     = "$.${each.value.field}"
    unit      = each.value.unit
  }
}

# The program logs a separate event for this, because a filter pattern cannot compare two fields.
resource "aws_cloudwatch_log_metric_filter" "none_visited" {
  count = var.metrics_enabled ? 1 : 0

  name           = "RunsWithoutVisit"
  log_group_name = local.log_group_name
  pattern        = "{ $.event = \"No repository was visited\" }"

  metric_transformation {
    name      = "RunsWithoutVisit"
    namespace = local.metric_namespace
    value     = "1"
    unit      = "Count"
  }
}

resource "aws_cloudwatch_log_metric_filter" "slow_scan" {
  count = var.metrics_enabled ? 1 : 0

  name           = "SlowScans"
  log_group_name = local.log_group_name
  pattern        = "{ $.event = \"Scan takes longer than it may age\" }"

  metric_transformation {
    name      = "SlowScans"
    namespace = local.metric_namespace
    value     = "1"
    unit      = "Count"
  }
}
