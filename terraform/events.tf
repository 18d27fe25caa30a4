# What runs between two runs of the cleaner: events in a queue, which the next run reads.

locals {
  events_enabled = var.memory_enabled && var.events_enabled

  event_patterns = {
    ecs-task = {
      source      = ["aws.ecs"]
      detail-type = ["ECS Task State Change"]
      detail      = { lastStatus = ["RUNNING"] }
    }
    batch-job = {
      source      = ["aws.batch"]
      detail-type = ["Batch Job State Change"]
      detail      = { status = ["RUNNING"] }
    }
  }

  # Composed, so that they are known before the queue exists.
  event_queue_name = "${var.name}-events"
  event_queue_arn  = "arn:${local.partition}:sqs:${local.region}:${local.account_id}:${local.event_queue_name}"
  event_queue_url  = "https://sqs.${local.region}.${local.dns_suffix}/${local.account_id}/${local.event_queue_name}"
}

resource "aws_sqs_queue" "events" {
  count = local.events_enabled ? 1 : 0

  name = local.event_queue_name

  # The maximum of SQS: the runs of two weeks may fail without a loss.
  message_retention_seconds = 1209600
  # The program sets the same for each message that it receives. It is longer than a run, which deletes the messages
  # when the ledger holds them.
  visibility_timeout_seconds = 1000
  sqs_managed_sse_enabled    = true

  tags = var.tags
}

resource "aws_sqs_queue_policy" "events" {
  count = local.events_enabled ? 1 : 0

  queue_url = aws_sqs_queue.events[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TakeEvents"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = local.event_queue_arn
      Condition = { ArnEquals = { "aws:SourceArn" = [for rule in aws_cloudwatch_event_rule.events : rule.arn] } }
    }]
  })
}

resource "aws_cloudwatch_event_rule" "events" {
  for_each = local.events_enabled ? local.event_patterns : {}

  name          = "${var.name}-${each.key}"
  description   = "Lets ${var.name} know of images that run only between its runs."
  event_pattern = jsonencode(each.value)

  tags = var.tags
}

resource "aws_cloudwatch_event_target" "events" {
  for_each = aws_cloudwatch_event_rule.events

  rule = each.value.name
  arn  = aws_sqs_queue.events[0].arn

  depends_on = [aws_sqs_queue_policy.events]
}
