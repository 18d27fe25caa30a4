locals {
  create_alarm_topic = var.alarms_enabled && var.alarm_topic_arn == null
  alarm_topic_arn    = local.create_alarm_topic ? aws_sns_topic.alarms[0].arn : var.alarm_topic_arn

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

  # CloudWatch looks back over seven days at most.
  longest_run_period = 7 * 86400 / 2
}

# Errors of the function: a run that failed in any way, time-outs and lack of memory included. A
# short period, so that each failed run tells, and no message that all is well five minutes later.
resource "aws_cloudwatch_metric_alarm" "function_failed" {
  count = var.alarms_enabled ? 1 : 0

  alarm_name          = "${var.name}-function-failed"
  alarm_description   = "A run of ${var.name} failed. The saved query \"${var.name}/${local.queries.failures}\" on ${aws_cloudwatch_log_group.this.name} tells why."
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = aws_lambda_function.this.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching" # between runs there are no data
  alarm_actions       = [local.alarm_topic_arn]

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
  alarm_actions       = [local.alarm_topic_arn]

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
  alarm_actions       = [local.alarm_topic_arn]

  tags = var.tags
}

resource "aws_cloudwatch_metric_alarm" "silent" {
  count = local.silence_watched ? 1 : 0

  alarm_name          = "${var.name}-silent"
  alarm_description   = "${var.name} has not run for two periods of its schedule."
  namespace           = "AWS/Lambda"
  metric_name         = "Invocations"
  dimensions          = { FunctionName = aws_lambda_function.this.function_name }
  statistic           = "Sum"
  period              = local.run_period
  evaluation_periods  = 2
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching" # a function that is not invoked reports nothing, not zero
  alarm_actions       = [local.alarm_topic_arn]
  ok_actions          = [local.alarm_topic_arn]

  tags = var.tags

  lifecycle {
    precondition {
      condition     = local.run_period != null
      error_message = "schedule_expression is \"${var.schedule_expression}\", which does not tell the alarm on silence within how many hours a run is due: set run_interval_hours to the longest gap of the schedule, such as 72 from Friday to Monday; if that is more than ${local.longest_run_period / 3600}, set silence_alarm_enabled to false."
    }

    precondition {
      condition     = try(local.run_period <= local.longest_run_period, true)
      error_message = "schedule_expression is \"${var.schedule_expression}\", and the alarm on silence allows gaps of at most ${local.longest_run_period / 3600} hours, because CloudWatch looks back over two of them and seven days at most: run more often, or set silence_alarm_enabled to false."
    }

    precondition {
      condition     = local.rate == null ? true : try(local.run_period >= local.scheduled_period, true)
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
