# The bucket, the queue and the permissions of the memory. The first run applies the module, because the ARNs of
# the rules are known only after an apply.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0"

  saved_queries_enabled = false
  metrics_enabled       = false
  alarms_enabled        = false
  dashboard_enabled     = false
}

run "by_default" {
  assert {
    condition     = one(aws_s3_bucket.memory).bucket == "ecr-cleaner-123456789012-eu-central-1"
    error_message = "The module must create a bucket for the ledger."
  }

  assert {
    condition = alltrue([
      one(aws_s3_bucket_public_access_block.memory).block_public_acls,
      one(aws_s3_bucket_public_access_block.memory).block_public_policy,
      one(aws_s3_bucket_public_access_block.memory).ignore_public_acls,
      one(aws_s3_bucket_public_access_block.memory).restrict_public_buckets,
      one(one(aws_s3_bucket_versioning.memory).versioning_configuration).status == "Enabled",
    ])
    error_message = "The bucket must be private and versioned."
  }

  assert {
    condition = jsonencode(local.memory_statements) == jsonencode([
      {
        Sid    = "RememberUsageAndPlans"
        Effect = "Allow"
        Action = ["s3:GetObject", "s3:ListBucket", "s3:PutObject"]
        Resource = [
          "arn:aws:s3:::ecr-cleaner-123456789012-eu-central-1",
          "arn:aws:s3:::ecr-cleaner-123456789012-eu-central-1/ledger*",
          "arn:aws:s3:::ecr-cleaner-123456789012-eu-central-1/plans/*",
        ]
        Condition = { StringEquals = { "s3:ResourceAccount" = "123456789012" } }
      },
      {
        Sid      = "ReadEvents"
        Effect   = "Allow"
        Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
        Resource = "arn:aws:sqs:eu-central-1:123456789012:ecr-cleaner-events"
      },
    ])
    error_message = "The function must be able to use its ledger and its queue and to write plans, and nothing else: ${jsonencode(local.memory_statements)}"
  }

  assert {
    condition = [
      for rule in one(aws_s3_bucket_lifecycle_configuration.memory).rule : one(rule.expiration).days if one(rule.filter).prefix == "plans/"
    ] == [90] && output.environment["PLANS"] == "s3://ecr-cleaner-123456789012-eu-central-1/plans/" && output.plans_url == output.environment["PLANS"]
    error_message = "Plans must be written to the bucket and deleted after a while, and nothing else may be deleted."
  }

  assert {
    condition     = sort(keys(aws_cloudwatch_event_rule.events)) == tolist(["batch-job", "ecs-task"])
    error_message = "ECS tasks and Batch jobs must be in the queue."
  }

  assert {
    condition = jsondecode(one(aws_sqs_queue_policy.events).policy).Statement[0].Condition == {
      ArnEquals = { "aws:SourceArn" = [for rule in aws_cloudwatch_event_rule.events : rule.arn] }
    }
    error_message = "Only the rules of the module may send to the queue."
  }

  assert {
    condition     = jsonencode([for statement in local.pull_times_statements : [statement.Effect, statement.Action]]) == jsonencode([["Allow", ["ecr:ListPullTimeUpdateExclusions"]], ["Deny", ["ecr:RegisterPullTimeUpdateExclusion"]]])
    error_message = "A dry run must not change pull times: ${jsonencode(local.pull_times_statements)}"
  }
}

run "real_run" {
  command = plan

  variables {
    dry_run = false
  }

  assert {
    condition     = jsonencode(local.pull_times_statements[*].Action) == jsonencode([["ecr:ListPullTimeUpdateExclusions", "ecr:RegisterPullTimeUpdateExclusion"]])
    error_message = "A real run must be able to exclude its role from pull times: ${jsonencode(local.pull_times_statements)}"
  }
}

run "real_run_without_events_that_must_not_exclude" {
  command = plan

  variables {
    dry_run                 = false
    register_pull_exclusion = false
    events_enabled          = false
  }

  assert {
    condition     = jsonencode(local.pull_times_statements[*].Action) == jsonencode([["ecr:ListPullTimeUpdateExclusions"]])
    error_message = "Without register_pull_exclusion, the function must not change pull times."
  }

  assert {
    condition     = length(aws_sqs_queue.events) + length(aws_cloudwatch_event_rule.events) == 0 && !contains(keys(output.environment), "EVENT_QUEUE")
    error_message = "Without events there must be no queue."
  }

  assert {
    condition     = local.memory_statements[*].Sid == ["RememberUsageAndPlans"]
    error_message = "Without events, the function must not be able to read a queue."
  }
}

run "real_run_with_a_path_of_the_role" {
  command = plan

  variables {
    dry_run  = false
    iam_path = "/platform/"
  }

  assert {
    condition     = jsonencode(local.pull_times_statements[*].Action) == jsonencode([["ecr:ListPullTimeUpdateExclusions"]]) && output.environment.REGISTER_PULL_EXCLUSION == "false"
    error_message = "The function must not exclude a role whose path it does not know: ${jsonencode(local.pull_times_statements)}"
  }
}

run "real_run_with_an_existing_role" {
  command = plan

  variables {
    dry_run     = false
    create_role = false
    role_arn    = "arn:aws:iam::123456789012:role/cleaner"
    # It is the path of the schedule's role only.
    iam_path = "/platform/"
  }

  assert {
    condition     = jsonencode(local.pull_times_statements[*].Action) == jsonencode([["ecr:ListPullTimeUpdateExclusions", "ecr:RegisterPullTimeUpdateExclusion"]]) && output.environment.REGISTER_PULL_EXCLUSION == "true"
    error_message = "A role without a path must be able to exclude itself: ${jsonencode(local.pull_times_statements)}"
  }
}

run "real_run_with_an_existing_role_that_has_a_path" {
  command = plan

  variables {
    dry_run     = false
    create_role = false
    role_arn    = "arn:aws:iam::123456789012:role/platform/cleaner"
  }

  assert {
    condition     = jsonencode(local.pull_times_statements[*].Action) == jsonencode([["ecr:ListPullTimeUpdateExclusions"]]) && output.environment.REGISTER_PULL_EXCLUSION == "false"
    error_message = "The function must not exclude a role whose path it does not know: ${jsonencode(local.pull_times_statements)}"
  }
}

run "without_memory" {
  command = plan

  variables {
    memory_enabled = false
    name           = "xn--cleaner"
  }

  assert {
    condition     = length(aws_s3_bucket.memory) + length(aws_sqs_queue.events) + length(local.memory_statements) == 0
    error_message = "Without memory there must be no bucket and no queue."
  }

  assert {
    condition     = length(setintersection(keys(output.environment), ["LEDGER", "EVENT_QUEUE", "PLANS"])) == 0 && output.plans_url == null
    error_message = "Without memory, the function must not look for a ledger or write a plan."
  }

  assert {
    condition     = aws_lambda_function.this.function_name == "xn--cleaner"
    error_message = "Without a bucket, its name does not matter."
  }
}
