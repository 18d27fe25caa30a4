locals {
  # By the length, which is known at plan time even of a topic that the same apply makes.
  create_alarm_topic = var.alarms_enabled && length(var.alarm_topic_arns) == 0
  alarm_topic_arns   = local.create_alarm_topic ? [aws_sns_topic.alarms[0].arn] : var.alarm_topic_arns

  # Not for a schedule that is switched off: that silence is meant.
  silence_watched = var.alarms_enabled && var.silence_alarm_enabled && var.schedule_enabled

  # Seconds within which a run is due: told, or read from the schedule. Null: it cannot be told from
  # this cron(...), for only one that names no day, month or year surely runs every day.
  rate       = try(regex("^rate\\((\\d+) (minute|hour|day)s?\\)$", var.schedule_expression), null)
  seconds_of = { minute = 60, hour = 3600, day = 86400 }
  scheduled_period = (
    local.rate != null ? tonumber(local.rate[0]) * local.seconds_of[local.rate[1]] :
    can(regex("^cron\\(\\S+ \\S+ [*?] \\* [*?] \\*\\)$", var.schedule_expression)) ? 86400 : null
  )
  run_period = var.run_interval_hours == null ? local.scheduled_period : var.run_interval_hours * 3600

  # Seconds between runs where the schedule leaves no doubt: a cron(...) of every day may name several
  # hours, and its gaps are shorter then.
  least_period = local.rate != null || can(regex("^cron\\(\\d+ \\d+ ", var.schedule_expression)) ? local.scheduled_period : null

  # CloudWatch looks back over seven days at most.
  longest_run_period = 7 * 86400 / 2
}

# Errors of the function: a run that failed in any way, time-outs and lack of memory included. Lambda
# stamps an error with the time at which the run began, and a run may take 15 minutes: a period as
# short as that would be over, and judged to be well, before the error is known.
resource "aws_cloudwatch_metric_alarm" "function_failed" {
  count = var.alarms_enabled ? 1 : 0

  alarm_name          = "${var.name}-function-failed"
  alarm_description   = "A run of ${var.name} failed. The saved query \"${var.name}/${local.queries.failures}\" on ${aws_cloudwatch_log_group.this.name} tells why."
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = aws_lambda_function.this.function_name }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # between runs there are no data
  alarm_actions       = local.alarm_topic_arns

  tags = var.tags
}

resource "aws_cloudwatch_metric_alarm" "deletions_failed" {
  count = var.alarms_enabled && var.metrics_enabled ? 1 : 0

  alarm_name          = "${var.name}-deletions-failed"
  alarm_description   = "${var.name} could not remove some images. The saved query \"${var.name}/${local.queries.failures}\" on ${aws_cloudwatch_log_group.this.name} names them."
  namespace           = local.metric_namespace
  metric_name         = "DeletionsFailed"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # between runs there are no data
  alarm_actions       = local.alarm_topic_arns

  tags = var.tags
}

# Such a run is no error, for the next one may have more time. Where none has, nothing is ever removed.
resource "aws_cloudwatch_metric_alarm" "none_visited" {
  count = var.alarms_enabled && var.metrics_enabled ? 1 : 0

  alarm_name          = "${var.name}-none-visited"
  alarm_description   = "${var.name} visited no repository, for finding what is in use took all the time that there was. Raise timeout (now ${var.timeout} seconds, at most 900) or memory_size (now ${var.memory_size} MB)."
  namespace           = local.metric_namespace
  metric_name         = "RunsWithoutVisit"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # it is counted only where it happens
  alarm_actions       = local.alarm_topic_arns

  tags = var.tags
}

# A function that is not invoked reports nothing, not zero, and CloudWatch would look for older points
# before it takes a missing one for what treat_missing_data says: two periods of silence would become
# about four. Filled with zeros, none is missing.
resource "aws_cloudwatch_metric_alarm" "silent" {
  count = local.silence_watched ? 1 : 0

  alarm_name          = "${var.name}-silent"
  alarm_description   = "${var.name} has not run for two periods of its schedule."
  evaluation_periods  = 2
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching" # where there is no point at all, there is nothing to fill
  alarm_actions       = local.alarm_topic_arns
  ok_actions          = local.alarm_topic_arns

  metric_query {
    id          = "runs"
    expression  = "FILL(invocations, 0)"
    label       = "Runs"
    return_data = true
  }

  metric_query {
    id = "invocations"

    metric {
      namespace   = "AWS/Lambda"
      metric_name = "Invocations"
      dimensions  = { FunctionName = aws_lambda_function.this.function_name }
      stat        = "Sum"
      # An hour at least: a run counts where it began, and is reported when it has ended.
      period = max(local.run_period, 3600)
    }
  }

  tags = var.tags

  lifecycle {
    precondition {
      condition     = local.run_period != null
      error_message = "schedule_expression is \"${var.schedule_expression}\", which does not tell the alarm on silence within how many hours a run is due: set run_interval_hours to the longest gap of the schedule, such as 72 from Friday to Monday; if that is more than ${local.longest_run_period / 3600}, set silence_alarm_enabled to false."
    }

    precondition {
      condition     = try(max(local.run_period, coalesce(local.least_period, 0)) <= local.longest_run_period, true)
      error_message = "schedule_expression is \"${var.schedule_expression}\", and the alarm on silence allows gaps of at most ${local.longest_run_period / 3600} hours, because CloudWatch looks back over two of them and seven days at most: set silence_alarm_enabled to false."
    }

    precondition {
      # Of a gap that is too long for the alarm anyway, the condition above tells.
      condition     = local.least_period == null ? true : local.least_period > local.longest_run_period || local.run_period >= local.least_period
      error_message = "run_interval_hours is ${coalesce(var.run_interval_hours, "null")}, which is less than the gap of schedule_expression, \"${var.schedule_expression}\": the alarm on silence would go off between runs. Allowed are null, which takes that gap, and longer ones."
    }
  }
}

resource "aws_sns_topic" "alarms" {
  count = local.create_alarm_topic ? 1 : 0

  name = "${var.name}-alarms"
  # Not alias/aws/sns where no key is given: CloudWatch may not use that key, and alarms would be lost.
  kms_master_key_id = var.kms_key_arn

  tags = var.tags
}

resource "aws_sns_topic_policy" "alarms" {
  count = local.create_alarm_topic ? 1 : 0

  arn = aws_sns_topic.alarms[0].arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "PublishAlarms"
      Effect    = "Allow"
      Action    = ["sns:Publish"]
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Resource  = aws_sns_topic.alarms[0].arn
      # Only alarms of this account.
      Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
    }]
  })
}

# Each address has to confirm before it is sent anything.
resource "aws_sns_topic_subscription" "email" {
  for_each = local.create_alarm_topic ? toset(var.alarm_emails) : []

  topic_arn = aws_sns_topic.alarms[0].arn
  protocol  = "email"
  endpoint  = each.value
}
