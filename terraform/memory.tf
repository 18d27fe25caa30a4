# What was in use, and when: an object in a bucket of the module. The program reads and writes it. The plans of
# its runs are in the same bucket.

locals {
  memory_bucket = "${var.name}-${local.account_id}-${local.region}"
  memory_key    = "ledger"
  plans_prefix  = "plans/"
  plans_url     = "s3://${local.memory_bucket}/${local.plans_prefix}"
  memory_arn    = "arn:${local.partition}:s3:::${local.memory_bucket}"

  # The name of the bucket is predictable: if it is deleted, another account could create it.
  in_this_account = { StringEquals = { "s3:ResourceAccount" = local.account_id } }

  memory_statements = [
    for statement in [
      # One statement, because IAM limits the length of the policy. s3:ListBucket is an action on the bucket, and
      # the others are actions on objects: the ledger, the cache beside it and the plans. Without s3:ListBucket, S3
      # answers that access is denied if there is no ledger yet.
      var.memory_enabled ? {
        Sid    = "RememberUsageAndPlans"
        Effect = "Allow"
        Action = sort(setunion(
          local.permissions.memory.ledger,
          local.permissions.memory.plans,
          var.fan_out ? local.permissions.memory.runs : [],
        ))
        Resource = concat(
          [local.memory_arn, "${local.memory_arn}/${local.memory_key}*", "${local.memory_arn}/${local.plans_prefix}*"],
          var.fan_out ? [local.runs_arn] : [],
        )
        Condition = local.in_this_account
      } : null,
      local.events_enabled ? {
        Sid      = "ReadEvents"
        Effect   = "Allow"
        Action   = local.permissions.memory.events
        Resource = local.event_queue_arn
      } : null,
    ] : statement if statement != null
  ]
}

resource "aws_s3_bucket" "memory" {
  count = var.memory_enabled ? 1 : 0

  #checkov:skip=CKV_AWS_18:Only the function reads and writes the bucket, and its log has each run.
  #checkov:skip=CKV_AWS_144:Each region has its own registry and its own ledger.
  #checkov:skip=CKV_AWS_145:The ledger holds digests and names of consumers. S3 encrypts it.
  #checkov:skip=CKV2_AWS_62:Nothing has to react to a new version of the ledger.

  bucket = local.memory_bucket
  # The program creates a new ledger if there is none.
  force_destroy = true

  tags = var.tags

  # If the module depends on a resource that changes, the account is unknown when planning, and with it the name
  # of the bucket. The bucket, and what is remembered, must not be replaced because of that.
  lifecycle {
    ignore_changes       = [bucket]
    replace_triggered_by = [terraform_data.name]
  }
}

resource "aws_s3_bucket_public_access_block" "memory" {
  count = var.memory_enabled ? 1 : 0

  bucket = aws_s3_bucket.memory[0].id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "memory" {
  count = var.memory_enabled ? 1 : 0

  bucket = aws_s3_bucket.memory[0].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "memory" {
  count = var.memory_enabled ? 1 : 0

  bucket = aws_s3_bucket.memory[0].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "memory" {
  count = var.memory_enabled ? 1 : 0

  bucket = aws_s3_bucket.memory[0].id

  rule {
    id     = "expire-earlier-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  rule {
    id     = "expire-plans"
    status = "Enabled"

    filter {
      prefix = local.plans_prefix
    }

    expiration {
      days = var.plans_kept_days
    }
  }

  dynamic "rule" {
    for_each = var.fan_out ? [local.runs_prefix] : []

    content {
      id     = "expire-runs"
      status = "Enabled"

      filter {
        prefix = rule.value
      }

      # Of no use after the run, but to find out why it failed.
      expiration {
        days = 7
      }
    }
  }

  # S3 accepts rules about earlier versions only after versioning is enabled.
  depends_on = [aws_s3_bucket_versioning.memory]
}

resource "aws_s3_bucket_policy" "memory" {
  count = var.memory_enabled ? 1 : 0

  bucket = aws_s3_bucket.memory[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "DenyUnencryptedTransport"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.memory_arn, "${local.memory_arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # Both change the policy settings of the bucket, and S3 refuses concurrent changes.
  depends_on = [aws_s3_bucket_public_access_block.memory]
}
