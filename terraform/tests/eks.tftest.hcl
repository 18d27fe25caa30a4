# Access to Kubernetes clusters and to the usage documents of those that the function cannot reach.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  image_uri = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0"
}

run "defaults" {
  command = plan

  assert {
    condition     = length(aws_eks_access_entry.function) == 0
    error_message = "Without eks_clusters the module must not change any cluster."
  }

  assert {
    condition = contains(
      one([for statement in local.function_statements : statement if statement.Sid == "DescribeConsumers"]).Resource, "arn:aws:eks:*:123456789012:*"
    )
    error_message = "The clusters of the account must be describable."
  }

  assert {
    condition     = length(setintersection(local.function_statements[*].Sid, ["ReadClusterDocuments", "ListClusterDocuments"])) == 0
    error_message = "Without cluster_documents there is nothing to read."
  }
}

run "clusters_and_documents" {
  command = plan

  variables {
    eks_clusters      = ["prod", "test"]
    cluster_documents = ["s3://usage/clusters/", "s3://usage/other/k3s.json", "s3://all/"]
  }

  assert {
    condition     = toset(keys(aws_eks_access_entry.function)) == toset(["prod", "test"])
    error_message = "Each cluster must have an access entry."
  }

  assert {
    condition     = alltrue([for entry in aws_eks_access_entry.function : entry.type == "STANDARD" && entry.kubernetes_groups == toset(["ecr-cleaner"])])
    error_message = "The entries must name the group of the ClusterRoleBinding."
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "ReadClusterDocuments"])) == jsonencode({
      Sid    = "ReadClusterDocuments"
      Effect = "Allow"
      Action = ["s3:GetObject"]
      Resource = [
        "arn:aws:s3:::usage/clusters/*",
        "arn:aws:s3:::usage/other/k3s.json",
        "arn:aws:s3:::all/*",
      ]
    })
    error_message = "Only the documents that are named must be readable."
  }

  assert {
    condition = jsonencode(one([for statement in local.function_statements : statement if statement.Sid == "ListClusterDocuments"])) == jsonencode({
      Sid       = "ListClusterDocuments"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = ["arn:aws:s3:::usage", "arn:aws:s3:::all"]
      Condition = { StringLike = { "s3:prefix" = ["clusters/*", "other/k3s.json", "*"] } }
    })
    error_message = "Only the prefixes that are named must be listable."
  }
}

run "waived_source" {
  command = plan

  variables {
    waived_sources = ["eks"]
  }

  assert {
    condition     = !contains(one([for statement in local.function_statements : statement if statement.Sid == "DescribeConsumers"]).Action, "eks:DescribeCluster")
    error_message = "A waived source must not keep its permissions."
  }

  assert {
    condition     = contains(one([for statement in local.function_statements : statement if statement.Sid == "FindUsage"]).Action, "eks:ListClusters")
    error_message = "The guard must be able to list the clusters."
  }
}

run "waived_source_and_guard" {
  command = plan

  variables {
    waived_sources = ["eks"]
    waived_guards  = ["eks-clusters"]
  }

  assert {
    condition     = length([for action in flatten(local.function_statements[*].Action) : action if startswith(action, "eks:")]) == 0
    error_message = "Without source and guard there must be no permission for EKS."
  }
}
